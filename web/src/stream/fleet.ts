// What a gateway says of its services and why: asked for once, then told as it changes.

import { useEffect, useState } from 'preact/hooks';
import { ask, askJson, Refused } from '../api';
import { HIDDEN } from './reader';
import type { Rollout } from './rollout';
import { guarded, messages, sleep } from './sse';

/** `GET /v1/services` of a gateway, as far as this page reads it. */
export interface Service {
  name: string;
  status: string;
  detail: string;
  min: number;
  max: number;
  wanted: number;
  reason: string;
  spares: number;
  held: number;
  rate_rps: number;
  capacity_rps?: number;
  replicas: Replica[];
  rollout?: Rollout;
}

export interface Replica {
  id: string;
  phase: string;
  detail: string;
  role: string;
  serving: boolean;
  in_flight: number;
  concurrency: number;
  latency_ms?: number;
}

/** One element of `GET /v1/decisions`. */
export interface Decision {
  sequence: number;
  at_ms: number;
  service: string;
  action: string;
  replica?: string;
  reason: string;
  /** Reason and figures as one sentence. */
  detail?: string;
}

/** From a cut, or an answer without a stream, to the next question. */
const AGAIN = 2000;
/** As many decisions as a gateway remembers. */
const KEPT = 1000;

interface Fleet {
  kind: 'fleet';
  services: Service[];
  decisions: Decision[];
  /** Nobody answers any more: this is how things were. */
  lost?: Refused;
}

export type Answer = { kind: 'asking' } | { kind: 'none' } | { kind: 'problem'; why: Refused } | Fleet;

export function useFleet(): [Answer, () => void] {
  const [answer, set] = useState<Answer>({ kind: 'asking' });
  const [round, next] = useState(0);
  const again = () => next((n) => n + 1);
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const seen = () => {
      clearTimeout(timer);
      if (document.hidden) timer = window.setTimeout(() => stop.abort(), HIDDEN);
      else if (stop.signal.aborted) again();
    };
    document.addEventListener('visibilitychange', seen);
    void follow(set, stop.signal);
    return () => {
      document.removeEventListener('visibilitychange', seen);
      clearTimeout(timer);
      stop.abort();
    };
  }, [round]);
  return [answer, again];
}

async function follow(set: (answer: Answer) => void, signal: AbortSignal): Promise<void> {
  let shown: Answer = { kind: 'asking' };
  const show = (answer: Answer) => {
    if (signal.aborted) return;
    shown = answer;
    set(answer);
  };
  while (!signal.aborted) {
    const answer = await fleet(signal);
    show(after(shown, answer));
    if (!passes(answer)) return;
    // Whatever ends a stream, the next question tells how things are.
    if (answer.kind === 'fleet') await listen(answer, show, signal).catch(() => {});
    await sleep(AGAIN, signal);
  }
}

/** Whether asking again may help: not where a key is wanted, or where there is no fleet. */
export function passes(answer: Answer): boolean {
  if (answer.kind === 'problem') return answer.why.status === 0 || answer.why.status >= 500;
  return answer.kind === 'fleet';
}

/** What is shown after an answer: the last picture stays for as long as nobody answers. */
export function after(shown: Answer, answer: Answer): Answer {
  const stays = shown.kind === 'fleet' && answer.kind === 'problem' && passes(answer);
  return stays ? { ...shown, lost: answer.why } : answer;
}

async function listen(from: Fleet, set: (answer: Answer) => void, signal: AbortSignal): Promise<void> {
  const dog = new AbortController();
  signal.addEventListener('abort', () => dog.abort(), { once: true });
  const headers = { accept: 'text/event-stream' };
  const answer = await guarded(ask('/v1/events', { headers, signal: dog.signal }), dog);
  let known = from;
  for await (const { event, data } of messages(answer, dog)) {
    if (event !== 'service' && event !== 'decisions') continue;
    known = heard(known, event, JSON.parse(data));
    set(known);
  }
}

/** The fleet after a message. */
export function heard(fleet: Fleet, event: 'service' | 'decisions', data: unknown): Fleet {
  if (event === 'service') {
    const now = data as Service;
    return { ...fleet, services: fleet.services.map((one) => (one.name === now.name ? now : one)) };
  }
  const last = fleet.decisions.at(-1)?.sequence ?? 0;
  const fresh = (data as Decision[]).filter((one) => one.sequence > last);
  return fresh.length ? { ...fleet, decisions: [...fleet.decisions, ...fresh].slice(-KEPT) } : fleet;
}

async function fleet(signal: AbortSignal): Promise<Answer> {
  try {
    const [services, decisions] = await Promise.all([
      askJson<Service[]>('/v1/services', signal),
      askJson<Decision[]>('/v1/decisions', signal),
    ]);
    return { kind: 'fleet', services, decisions };
  } catch (error) {
    const why = error instanceof Refused ? error : new Refused('GET /v1/services', 0, String(error));
    return why.status === 404 ? { kind: 'none' } : { kind: 'problem', why };
  }
}

