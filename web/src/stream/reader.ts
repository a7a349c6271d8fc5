// One connection to the event stream: snapshot, then what happens, again after every cut.

import { ask, askJson, authorisation, type Passport, Refused } from '../api';
import { guarded, messages, sleep } from './sse';

export type Link =
  | { state: 'opening' }
  | { state: 'live' }
  | { state: 'waiting'; tries: number; until: number; why: string }
  | { state: 'hidden' }
  /** No replica: a gateway, which has services and no passport. */
  | { state: 'fleet' }
  | { state: 'locked'; why: string };

export interface Sink {
  snapshot(passport: Passport): void;
  event(kind: string, data: unknown, id: string | null): void;
  link(link: Link): void;
}

/** A page that nobody sees lets go after so long. */
export const HIDDEN = 30_000;

/** 0.5 s doubling to 10 s, with jitter so that many pages do not come back at once. */
export function backOff(tries: number, random: number): number {
  return Math.min(10_000, 500 * 2 ** Math.max(0, tries - 1)) * (0.75 + random / 2);
}

export class Reader {
  private stop = new AbortController();
  private last: string | null = null;
  private tries = 0;
  private running = false;

  constructor(private sink: Sink) {}

  /** Reads from now on, while the page is seen. */
  start(): void {
    let timer = 0;
    document.addEventListener('visibilitychange', () => {
      clearTimeout(timer);
      if (document.hidden) timer = window.setTimeout(() => this.pause(), HIDDEN);
      else void this.run();
    });
    void this.run();
  }

  async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    this.stop = new AbortController();
    const { signal } = this.stop;
    while (!signal.aborted) {
      const why = await this.once(signal).then(
        () => 'the stream ended',
        (error: unknown) => error,
      );
      if (signal.aborted) break;
      if (why instanceof Refused && (why.status === 401 || why.status === 403)) {
        this.sink.link({ state: 'locked', why: why.detail });
        this.running = false;
        return;
      }
      if (why instanceof Refused && why.status === 404) {
        this.sink.link({ state: 'fleet' });
        this.running = false;
        return;
      }
      this.tries += 1;
      const wait = backOff(this.tries, Math.random());
      const text = why instanceof Error ? why.message : String(why);
      this.sink.link({ state: 'waiting', tries: this.tries, until: Date.now() + wait, why: text });
      await sleep(wait, signal);
    }
    this.running = false;
  }

  private pause(): void {
    this.stop.abort();
    this.sink.link({ state: 'hidden' });
  }

  private async once(signal: AbortSignal): Promise<void> {
    if (this.tries === 0) this.sink.link({ state: 'opening' });
    const passport = await askJson<Passport>('/v1/replica', signal);
    if (this.last && !this.last.startsWith(`${passport.epoch}-`)) this.last = null;
    this.sink.snapshot(passport);
    // The watch dog of this connection alone: a new one starts its own.
    const dog = new AbortController();
    signal.addEventListener('abort', () => dog.abort(), { once: true });
    const headers: Record<string, string> = { ...authorisation(), accept: 'text/event-stream' };
    if (this.last) headers['last-event-id'] = this.last;
    const asked = ask('/v1/events?kinds=requests,gauges', { headers, signal: dog.signal });
    const answer = await guarded(asked, dog);
    this.tries = 0;
    this.sink.link({ state: 'live' });
    for await (const message of messages(answer, dog)) {
      if (message.id) this.last = message.id;
      if (message.event === 'lagged') {
        this.sink.event('lagged', Number(message.data), null);
        this.sink.snapshot(await askJson<Passport>('/v1/replica', signal));
      } else if (message.event !== 'heartbeat') {
        this.sink.event(message.event, JSON.parse(message.data), message.id);
      }
    }
  }
}
