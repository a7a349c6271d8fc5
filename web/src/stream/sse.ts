// Server-sent events from a byte stream. EventSource gives up after an error, cannot send a key and
// waits three seconds after a cut; fetch does all of it.

export interface Message {
  event: string;
  data: string;
  id: string | null;
}

/** A longer line than any of ours: what sends it is not an event stream. */
const LONGEST = 1 << 20;

export class Parser {
  private rest = '';
  private data: string[] = [];
  private event = 'message';
  private id: string | null = null;

  /** Whole messages in this piece; comments come back as `heartbeat`. */
  push(text: string): Message[] {
    const out: Message[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? '';
    if (this.rest.length > LONGEST) throw new Error('a line without an end');
    for (const line of lines) this.line(line, out);
    return out;
  }

  private line(line: string, out: Message[]): void {
    if (line === '') {
      if (this.data.length) out.push({ event: this.event, data: this.data.join('\n'), id: this.id });
      this.data = [];
      this.event = 'message';
      this.id = null;
      return;
    }
    if (line.startsWith(':')) {
      out.push({ event: 'heartbeat', data: '', id: null });
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.data.push(value);
    else if (field === 'event') this.event = value;
    else if (field === 'id') this.id = value;
  }
}

/** Twice the server's heartbeat and a little. */
const SILENCE = 21_000;

/** What a connection is waited for, which `dog` cuts when it stays silent. */
export function guarded<T>(what: Promise<T>, dog: AbortController): Promise<T> {
  const timer = setTimeout(() => dog.abort(), SILENCE);
  return what.finally(() => clearTimeout(timer));
}

/** The messages of an answer, until it ends or falls silent; `dog` cuts the connection then. */
export async function* messages(answer: Response, dog: AbortController): AsyncGenerator<Message> {
  const parser = new Parser();
  const decoder = new TextDecoder();
  const body = answer.body?.getReader();
  for (;;) {
    const piece = body && (await guarded(body.read(), dog));
    if (!piece || piece.done) return;
    yield* parser.push(decoder.decode(piece.value, { stream: true }));
  }
}

export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true });
  });
}
