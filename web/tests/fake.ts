// A listener that says what a test wants: the built page under its real headers, a passport, and a
// stream that can lag, break off, or tell of a thousand replicas.

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { DIST, ROOT } from './support';

const RUST = readFileSync(join(ROOT, 'crates/preheat-dashboard/src/lib.rs'), 'utf8');
/** The policy that the binary sends. */
const POLICY = /const POLICY: &str = "([^"]+)"/.exec(RUST)?.[1]?.replace(/\\\n\s*/g, '') ?? '';

const TYPES: Record<string, string> = {
  html: 'text/html',
  js: 'text/javascript',
  css: 'text/css',
  svg: 'image/svg+xml',
  ndjson: 'application/json',
};

export interface Script {
  /** None: a gateway. */
  passport: unknown;
  /** Called for each stream that is opened. */
  stream: (response: ServerResponse, request: IncomingMessage) => void;
  json?: Record<string, unknown>;
  /** Told of everything that is posted; its answer is sent. */
  post?: (path: string) => unknown;
  key?: string;
  /** Whether this request is taken and never answered. */
  hangs?: (path: string) => boolean;
  /** To come back at an address; without it any. */
  port?: number;
}

export interface Fake {
  url: string;
  close: () => void;
}

export async function fake(script: Script): Promise<Fake> {
  const server: Server = createServer((request, response) => answer(script, request, response));
  await new Promise<void>((done) => server.listen(script.port ?? 0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function answer(script: Script, request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? '/', 'http://x').pathname;
  const json = (status: number, body: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (path === '/' || path.startsWith('/assets/')) return file(path, response);
  if (script.key && request.headers.authorization !== `Bearer ${script.key}`) {
    return json(401, { error: { message: 'a key is required' } });
  }
  if (script.hangs?.(path)) return;
  if (path === '/v1/replica' && script.passport) return json(200, script.passport);
  if (path === '/v1/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    return script.stream(response, request);
  }
  if (request.method === 'POST' && script.post) return json(200, script.post(path));
  const known = script.json?.[path];
  return known === undefined ? json(404, { detail: 'no such route' }) : json(200, known);
}

function file(path: string, response: ServerResponse): void {
  const name = path === '/' ? 'index.html' : path.slice(1);
  const type = TYPES[name.split('.').pop() ?? ''] ?? 'application/octet-stream';
  const headers = { 'content-type': type, 'content-security-policy': POLICY };
  response.writeHead(200, headers).end(readFileSync(join(DIST, name)));
}

export function message(event: string, data: unknown, id?: string): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n${id ? `id: ${id}\n` : ''}\n`;
}

export function passport(more: { model?: string; detail?: string; error?: unknown; epoch?: string } = {}): unknown {
  const { model = 'embedder', detail = 'ready, proven warm', error = null, epoch = '7f3a0000' } = more;
  return {
    id: `${epoch}aaaa`,
    version: '0.1.0',
    pid: 1,
    http: '127.0.0.1:8000',
    grpc: '127.0.0.1:8001',
    admin: '127.0.0.1:8002',
    uptime_ms: 5000,
    phases: [
      { phase: 'starting', at_ms: 0 },
      { phase: 'loading', at_ms: 100 },
      { phase: 'warming', at_ms: 1900 },
      { phase: 'ready', at_ms: 2600 },
    ],
    epoch,
    sequence: 9,
    objectives: { slo_p95_ms: 200, headroom: 0.2, concurrency: 8, queue: 16 },
    report: {
      status: error ? 'not_ready' : 'ready',
      detail,
      model,
      warmup_seconds: 0.7,
      stage: error ? 'failed' : 'warm',
      phase: error ? 'failed' : 'ready',
      models: [
        {
          name: model,
          phase: error ? 'failed' : 'ready',
          engine: { name: 'native-cpu', dtype: 'f32', dim: 384, max_tokens: 256, simulated: false },
          instances: 1,
          revision: null,
          waterfall: [
            { stage: 'weights', start_ms: 100, ms: 1800, bytes: 90868376, cpu_ms: 400 },
            { stage: model, start_ms: 100, ms: 700 },
          ],
          cases: [
            {
              name: model,
              shape: '1x16',
              path: 'engine',
              instance: 0,
              rounds: 2,
              rounds_ms: [9.2, 3.1],
              first_ms: 9.2,
              steady_ms: 3.1,
              ratio: 2.97,
              settled: true,
              output: { shape: [1, 384], finite: true, ok: true },
            },
          ],
          notes: [model],
          checks: [{ id: 'P3', what: model, ok: true, value: '1.06 × steady', limit: '1.50 × steady' }],
          proof: { status: error ? 'failed' : 'passed', first_request_ms: 3.3, steady_ms: 3.1, saved_ms: 6.1 },
          memory: { resident_bytes: 2e8, peak_bytes: 2.1e8, limit_bytes: 4e9, headroom: 0.9475 },
          error,
        },
      ],
    },
  };
}

export function requests(at: number, answered: unknown[], more: object = {}): string {
  const left_out = { in_time: 0, breaches: 0, missed: 0 };
  return message('requests', { at_ms: at, answered, left_out, open: [], open_total: 0, ...more });
}

/** A fleet of one service. */
export function services(count: number): unknown[] {
  const phases = ['ready', 'ready', 'ready', 'loading', 'warming', 'starting', 'draining'];
  const replicas = Array.from({ length: count }, (_, n) => ({
    id: `r${String(n).padStart(6, '0')}`,
    pid: n + 1,
    phase: phases[n % phases.length],
    detail: 'ready, proven warm',
    role: n % 5 === 0 ? 'spare' : 'active',
    proof: 'passed',
    serving: n % 7 < 3,
    in_flight: n % 4,
    concurrency: 4,
    answered: n,
    uptime_ms: 1000,
    latency_ms: 12.5,
  }));
  return [
    {
      name: 'embedder',
      status: 'ready',
      detail: 'serving',
      min: 1,
      max: count,
      wanted: count,
      reason: '41/s over 0.7 × 15.5/s of one replica',
      spares: 1,
      held: 0,
      held_bytes: 0,
      rate_rps: 41.2,
      capacity_rps: 15.5,
      replicas,
    },
  ];
}

/** A rollout that waits for its load test to end; `more` makes others of it. */
export function rollout(more: object = {}): object {
  return {
    from: '9c1f3a77',
    from_source: 'all-MiniLM-L6-v2',
    to: 'b07e55d0',
    to_source: './models/new',
    stage: 'loading',
    detail: 'all of green is proven: replicas 4',
    size: 4,
    proven: 4,
    stage_ms: 18_000,
    limit_ms: 30_000,
    limits: { slo_p95_ms: 200, max_ratio: 1.2, slack_ms: 2, max_errors: 0.001 },
    seen: { requests: 720, errors: 0, p95_ms: 138, blue_p95_ms: 141 },
    ...more,
  };
}

export const DECISIONS = [
  { sequence: 1, at_ms: 900, service: 'embedder', action: 'start', replica: 'r000001', reason: 'wanted 2, have 1', inputs: {} },
  { sequence: 2, at_ms: 1904, service: 'embedder', action: 'promote', replica: 'r000005', reason: 'every permit taken at the first request', inputs: {} },
];
