// A real replica, a real browser, and what every page must keep.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = join(HERE, '../..');
export const DIST = join(HERE, '../dist');
const AXE = readFileSync(join(HERE, '../node_modules/axe-core/axe.min.js'), 'utf8');

/** Longer than a start takes on a busy machine; only a hang reaches it. */
const PATIENCE = 60_000;

export const SIM = (more: string, name = 'embedder') => `
[drain]
delay = "0s"
[[model]]
name = ${JSON.stringify(name)}
engine = "sim"
[model.batching]
max_batch = 4
buckets = { batch = [1, 4], tokens = [16, 64] }
[model.sim]
${more}
`;

export const REAL = `
[drain]
delay = "0s"
[[model]]
name = "embedder"
source = '${join(ROOT, 'target/models/all-MiniLM-L6-v2')}'
[model.batching]
max_batch = 4
buckets = { batch = [1, 4], tokens = [16, 64] }
`;

const BINARY = join(ROOT, 'target/debug/preheat');

export interface Replica {
  http: string;
  admin: string;
  /** Its own, for files of a test. */
  folder: string;
  stop: () => void;
}

/** Starts the binary; alive when this returns, and ready when it is. */
export function replica(config: string, environment: Record<string, string> = {}): Promise<Replica> {
  return start('serve', config, environment);
}

/** The same for a gateway; its replicas end with it. */
export function gateway(config: string): Promise<Replica> {
  return start('gateway', config, {});
}

/** A verb that ends by itself, and ends well. */
export async function preheat(args: string[]): Promise<void> {
  await promisify(execFile)(BINARY, args, { timeout: PATIENCE });
}

async function start(verb: string, config: string, environment: Record<string, string>): Promise<Replica> {
  const folder = mkdtempSync(join(tmpdir(), 'preheat-web-'));
  writeFileSync(join(folder, 'preheat.toml'), config);
  const [http, grpc, admin] = [await free(), await free(), await free()];
  const log = openSync(join(folder, 'log'), 'w');
  const child: ChildProcess = spawn(
    BINARY,
    [verb, '--config', join(folder, 'preheat.toml')],
    {
      stdio: ['ignore', log, log],
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        PREHEAT_PORT: String(http),
        PREHEAT_GRPC_PORT: String(grpc),
        PREHEAT_ADMIN: `127.0.0.1:${admin}`,
        ...environment,
      },
    },
  );
  const self = {
    http: `http://127.0.0.1:${http}`,
    admin: `http://127.0.0.1:${admin}`,
    folder,
    stop: () => void child.kill('SIGKILL'),
  };
  await until('alive', () => fetch(`${self.admin}/livez`).then((answer) => answer.ok));
  return self;
}

export async function ready(of: Replica): Promise<Replica> {
  await until('ready', () => fetch(`${of.admin}/readyz`).then((answer) => answer.ok));
  return of;
}

export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + PATIENCE;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

function free(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

export function embed(of: Replica, texts: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${of.http}/embed`, { method: 'POST', headers, body: JSON.stringify(texts) });
}

let shared: Promise<Browser> | null = null;

export function browser(): Promise<Browser> {
  shared ??= chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  return shared;
}

export async function close(): Promise<void> {
  await (await shared)?.close();
  shared = null;
}

export interface Look {
  width?: number;
  dark?: boolean;
  motion?: boolean;
  /** Notes in `shownAfter` when the picture was there, in ms from the navigation on. */
  watch?: boolean;
  /** Done before the page is opened. */
  before?: (page: Page) => Promise<unknown>;
}

/** A page whose complaints are kept: errors, refused content, requests to elsewhere. */
export async function open(url: string, look: Look = {}): Promise<{ page: Page; faults: string[] }> {
  const context: BrowserContext = await (await browser()).newContext({
    // Under a POSIX locale Chromium reports a language tag that Intl does not take.
    locale: 'en-US',
    timezoneId: 'UTC',
    viewport: { width: look.width ?? 1280, height: 900 },
    colorScheme: look.dark ? 'dark' : 'light',
    reducedMotion: look.motion ? 'no-preference' : 'reduce',
  });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    const expected = message.text().includes('404') || message.text().includes('401');
    if (message.type() === 'error' && !expected) faults.push(message.text());
  });
  const origin = new URL(url).origin;
  page.on('request', (request) => {
    if (!request.url().startsWith(origin)) faults.push(`asked ${request.url()}`);
  });
  if (look.watch) await page.addInitScript(noteWhenShown);
  if (process.env.FRESH) await fresh(page, origin);
  await look.before?.(page);
  await page.goto(url);
  return { page, faults };
}

function noteWhenShown(): void {
  const watcher = new MutationObserver(() => {
    if (!document.querySelector('ol.steps')) return;
    watcher.disconnect();
    requestAnimationFrame(() => Object.assign(window, { shownAfter: performance.now() }));
  });
  watcher.observe(document, { childList: true, subtree: true });
}

/** With FRESH=1 the page is what Vite built last, under the headers of the binary that runs. */
async function fresh(page: Page, origin: string): Promise<void> {
  const headers = (await fetch(origin)).headers;
  const policy = headers.get('content-security-policy') ?? '';
  await page.route(`${origin}/`, (route) =>
    route.fulfill({ path: join(DIST, 'index.html'), headers: { 'content-type': 'text/html', 'content-security-policy': policy } }),
  );
  await page.route(`${origin}/assets/*`, (route) =>
    route.fulfill({ path: join(DIST, new URL(route.request().url()).pathname) }),
  );
}

/** Tables of which a part is seen only by scrolling sideways. */
export function cutTables(page: Page): Promise<number> {
  return page.evaluate(() => [...document.querySelectorAll('.scroll')].filter((at) => at.scrollWidth > at.clientWidth).length);
}

/** What axe finds, one line each. Runs beside the page's policy, not through it. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const axe = (window as unknown as { axe: { run: (o: unknown) => Promise<{ violations: unknown[] }> } }).axe;
    return (await axe.run({ resultTypes: ['violations'] })).violations;
  });
  type Found = { id: string; nodes: { html: string; failureSummary?: string }[] };
  return (found as Found[]).flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary ?? ''}`),
  );
}

/** Saved where a person asked for it with SHOTS=folder; tests look at figures, not at pixels. */
export async function shot(page: Page, name: string): Promise<void> {
  const folder = process.env.SHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled', fullPage: true });
}
