// Try it: one request through the routes that users call, and where its time went.

import { useState } from 'preact/hooks';
import { ask, Refused } from '../api';
import { useLive } from '../live';
import { time } from '../paint/scales';
import { Panel, Table } from '../ui/parts';

const ROUTES: Record<string, (texts: string[], model: string) => unknown> = {
  '/embed': (texts) => texts,
  '/v1/embeddings': (texts, model) => ({ model, input: texts }),
  '/tokenize': (texts) => ({ inputs: texts }),
};

const SHOWN = 4000;

interface Outcome {
  status: number;
  took: number;
  timing: [string, number][];
  warm: string;
  body: string;
}

export function Playground() {
  const passport = useLive().world.passport;
  const [route, setRoute] = useState('/embed');
  const [text, setText] = useState('How do I reset my password?');
  const [key, setKey] = useState('');
  const [result, setResult] = useState<Outcome | null>(null);
  const [problem, setProblem] = useState<Refused | null>(null);
  const [busy, setBusy] = useState(false);
  const texts = text.split('\n').filter((line) => line.trim());
  const body = JSON.stringify(ROUTES[route]!(texts, passport?.report.model ?? ''));

  const send = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (key) headers['x-api-key'] = key;
    const began = performance.now();
    try {
      const answer = await ask(`/v1/try${route}`, { method: 'POST', body, headers });
      const answered = await answer.text();
      setResult({
        status: answer.status,
        took: performance.now() - began,
        timing: timings(answer.headers.get('server-timing') ?? ''),
        warm: answer.headers.get('preheat-warm') ?? 'not said',
        body: answered,
      });
    } catch (error) {
      setResult(null);
      setProblem(error instanceof Refused ? error : new Refused('POST', 0, String(error)));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="columns">
      <Panel title="Request">
        <form onSubmit={send}>
          <label class="field">
            Route{' '}
            <select value={route} onChange={(event) => setRoute(event.currentTarget.value)}>
              {Object.keys(ROUTES).map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <label class="field">
            Texts, one a line
            <textarea value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
          <label class="field">
            API key, where one is required{' '}
            <input type="password" autocomplete="off" value={key} onInput={(event) => setKey(event.currentTarget.value)} />
          </label>
          <button type="submit" disabled={busy || !texts.length}>
            {busy ? 'Sending…' : 'Send'}
          </button>
        </form>
        <h3>The same in a terminal</h3>
        <pre tabIndex={0}>{curl(passport?.http ?? '127.0.0.1:8000', route, body, !!key)}</pre>
      </Panel>
      <Panel title="Answer">
        {problem && (
          <p role="alert">
            <span class="alarm">✕ {problem.status || 'no answer'}</span> {problem.asked}: {problem.detail}
          </p>
        )}
        {!problem && !result && <p>Nothing was sent so far. It is a real request, and counted as one.</p>}
        {result && <Answer result={result} />}
      </Panel>
    </div>
  );
}

function Answer({ result }: { result: Outcome }) {
  const inside = result.timing.reduce((sum, [, ms]) => sum + ms, 0);
  const rows: [string, number][] = [...result.timing, ['this page and the way', Math.max(0, result.took - inside)]];
  const total = Math.max(result.took, inside);
  let start = 0;
  return (
    <>
      <p>
        {result.status} after {time(result.took)} · {result.warm}
      </p>
      <Table
        caption="Where the time went"
        rows={rows.map(([name, ms]) => {
          const from = start;
          start += ms;
          return { name, ms, from };
        })}
        columns={[
          { head: 'part', cell: (row) => row.name },
          { head: 'time', kind: 'number', cell: (row) => time(row.ms) },
          {
            head: 'share',
            cell: (row) => (
              <svg class="lane" height="14" aria-hidden="true">
                <rect class="track" x="0" width="100%" y="2" height="10" />
                <rect class="bar" x={`${(100 * row.from) / total}%`} width={`${Math.max(0.5, (100 * row.ms) / total)}%`} y="2" height="10" />
              </svg>
            ),
          },
        ]}
      />
      <h3>Body, {result.body.length} characters</h3>
      <pre tabIndex={0}>{result.body.length > SHOWN ? `${result.body.slice(0, SHOWN)}…` : result.body}</pre>
    </>
  );
}

/** `prepare;dur=0.07, queue;dur=0.02` */
export function timings(header: string): [string, number][] {
  return header
    .split(',')
    .map((part): [string, number] => {
      const [name = '', ...rest] = part.trim().split(';');
      const duration = rest.find((word) => word.trim().startsWith('dur='));
      return [name, Number(duration?.split('=')[1])];
    })
    .filter(([name, ms]) => name && Number.isFinite(ms));
}

/** For a shell: a quote inside quotes ends them, is escaped, and begins them again. */
export function curl(host: string, route: string, body: string, key: boolean): string {
  const quoted = `'${body.replaceAll("'", "'\\''")}'`;
  const header = key ? " \\\n  -H \"x-api-key: $KEY\"" : '';
  return `curl -s http://${host}${route} -H 'content-type: application/json'${header} \\\n  -d ${quoted}`;
}
