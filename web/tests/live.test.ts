// A replica as it starts, serves and refuses: what the page shows is what the API says.

import { readFileSync } from 'node:fs';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { browser, close, embed, open, type Replica, ready, replica, ROOT, shot, SIM, until, violations } from './support';

const running: Replica[] = [];
const start = async (config: string, environment?: Record<string, string>) => {
  const made = await replica(config, environment);
  running.push(made);
  return made;
};

afterEach(() => {
  for (const one of running.splice(0)) one.stop();
});
const SLOW = SIM('weights = "3s"\ntokenizer = "200ms"\nfirst_run = "120ms"\nrun = "30ms"');

/** One that is ready, for all tests that only look. */
let shared: Replica;

beforeAll(async () => {
  await browser();
  shared = await ready(await replica(SIM('weights = "300ms"\ntokenizer = "100ms"\nfirst_run = "60ms"\nrun = "9ms"')));
}, 60_000);

afterAll(async () => {
  shared?.stop();
  await close();
});

test('a warm-up is seen from first paint to ready, without a reload', { timeout: 60_000 }, async () => {
  const of = await start(SLOW);
  const { page, faults } = await open(`${of.admin}/`, { motion: true });
  const picture = page.locator('canvas');
  await page.locator('[aria-label="step 2 of 4: loading"]').waitFor();
  await shot(page, 'warmup-loading');
  const refused = await embed(of, ['x']);
  expect(refused.status).toBe(503);
  await page.locator('[aria-label="step 3 of 4: warming"]').waitFor();
  await shot(page, 'warmup-warming');
  await page.locator('[aria-label="step 4 of 4: warm"]').waitFor();
  await page.getByText('SIMULATED ENGINE').waitFor();
  await ready(of);
  for (let n = 0; n < 5; n += 1) await embed(of, ['x']);
  await until('five served and one refused', async () => {
    const label = (await picture.getAttribute('aria-label')) ?? '';
    return label.includes('served 5') && label.includes('refused 1');
  });
  expect(await page.evaluate(() => performance.getEntriesByType('navigation').length)).toBe(1);
  expect(faults).toEqual([]);
});

test('the figures of each page are those of the API', { timeout: 60_000 }, async () => {
  const of = shared;
  await embed(of, ['x']);
  const passport = await (await fetch(`${of.admin}/v1/replica`)).json();
  const model = passport.report.models[0];
  const { page } = await open(`${of.admin}/#/start`);
  await page.locator('.waterfall').waitFor();
  await page.keyboard.press('t');
  const stages = model.waterfall.map((stage: { stage: string }) => stage.stage);
  await page.locator('tbody tr').first().waitFor();
  expect(await page.locator('tbody td:first-child').allTextContents()).toEqual(stages.sort(byStart(model.waterfall)));
  await page.keyboard.press('g');
  await page.keyboard.press('d');
  const rows = page.locator('tbody tr');
  // The page before it has a table, too.
  await expect.poll(() => rows.count()).toBe(model.cases.length);
  const saved = Math.max(...model.cases.map((c: { first_ms: number; steady_ms: number }) => c.first_ms - c.steady_ms));
  expect(await rows.first().locator('td').last().textContent()).toBe(`${saved < 99.95 ? saved.toFixed(1).replace(/\.0$/, '') : Math.round(saved)} ms`);
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await page.locator('.checks li').first().waitFor();
  for (const check of model.checks) await page.getByText(check.value).first().waitFor();
});

function byStart(stages: { stage: string; start_ms: number }[]) {
  const at = (name: string) => stages.find((stage) => stage.stage === name)?.start_ms ?? 0;
  return (a: string, b: string) => at(a) - at(b);
}

test('a start is played again from its address, exactly', { timeout: 60_000 }, async () => {
  const of = shared;
  const { page, faults } = await open(`${of.admin}/`);
  await page.getByText('Replay this start').click();
  // Where no motion is wished the finished picture comes first.
  const label = () => page.locator('canvas').getAttribute('aria-label');
  expect(await label()).toContain('ready');
  await page.keyboard.press('Home');
  expect(await label()).toContain('At 0 ms: starting');
  await page.keyboard.press('.');
  await page.keyboard.press('.');
  const stepped = await label();
  await page.waitForFunction(() => location.hash.includes('at='));
  const again = await open(page.url());
  await until('the same view', async () => (await again.page.locator('canvas').getAttribute('aria-label')) === stepped);
  await shot(again.page, 'replay');
  expect(faults).toEqual([]);
  expect(await violations(again.page)).toEqual([]);
});

test('a recorded trace is played side by side', { timeout: 60_000 }, async () => {
  const of = shared;
  const { page, faults } = await open(`${of.admin}/`);
  const file = page.locator('input[type=file]');
  await file.setInputFiles(join(ROOT, 'web/tests/fixtures/trace.ndjson'));
  await page.locator('main .simulated').waitFor();
  const labels = page.locator('canvas');
  expect(await labels.count()).toBe(2);
  const difference = page.getByText(/^Over the objective: \d+ without protection, 0 with preheat/);
  await difference.waitFor();
  await page.keyboard.press('b');
  expect(await labels.first().getAttribute('aria-label')).toContain('At 2.4 s');
  await page.keyboard.press('End');
  await shot(page, 'trace');
  expect(await violations(page)).toEqual([]);
  const broken = join(mkdtempSync(join(tmpdir(), 'preheat-web-')), 'broken.ndjson');
  writeFileSync(broken, '{"trace":1}\n<img src=x onerror=alert(1)>');
  await page.getByText('back to this replica').click();
  await file.setInputFiles(broken);
  await page.getByRole('alert').getByText('line 2: not a JSON object').waitFor();
  expect(faults).toEqual([]);
});

test('the worked example is played with and without protection', { timeout: 60_000 }, async () => {
  const { page, faults } = await open(`${shared.admin}/`);
  await page.getByLabel('Simulated').selectOption('7b');
  await page.locator('main .simulated').waitFor();
  expect(await page.locator('canvas').count()).toBe(2);
  // Where no motion is wished the finished picture comes first; its figures are those of the text.
  const words = /^Over the objective: (\d+) without protection, (\d+) with preheat/;
  const difference = page.getByText(words);
  await difference.waitFor();
  const [, without, protectedOnes] = words.exec((await difference.textContent()) ?? '') ?? [];
  expect(Number(without)).toBeGreaterThanOrEqual(15);
  expect(Number(protectedOnes)).toBe(0);
  await page.keyboard.press('b');
  await page.getByText(/^Over the objective: [1-3] without/).waitFor();
  await shot(page, 'scenario-7b-breach');
  expect(await violations(page)).toEqual([]);
  // The address opens exactly this view.
  await page.waitForFunction(() => location.hash.includes('scenario=7b'));
  const label = await page.locator('canvas').first().getAttribute('aria-label');
  const again = await open(page.url());
  await until('the same view', async () => (await again.page.locator('canvas').first().getAttribute('aria-label')) === label);
  expect(faults).toEqual([]);
});

test('every shipped scenario plays, pauses and changes its speed', { timeout: 60_000 }, async () => {
  for (const [id, dark] of [['spike', false], ['scale-to-zero', true], ['bad-gate', false]] as const) {
    const { page, faults } = await open(`${shared.admin}/#/watch?scenario=${id}`, { motion: true, dark, width: dark ? 390 : 1280 });
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    const at = () => page.locator('input[type=range]').inputValue();
    const before = await at();
    await until('it moves', async () => (await at()) !== before);
    await page.getByLabel('Speed').selectOption('16');
    await page.keyboard.press(' ');
    await page.getByRole('button', { name: 'Play' }).waitFor();
    await page.keyboard.press('End');
    await page.getByText(/^Over the objective: \d+ .*, \d+ with preheat/).waitFor();
    await shot(page, `scenario-${id}`);
    expect(await violations(page)).toEqual([]);
    expect(faults).toEqual([]);
    await page.context().close();
  }
});

test('the playground asks the routes that users ask', { timeout: 60_000 }, async () => {
  const of = shared;
  const { page, faults } = await open(`${of.admin}/#/play`);
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByText(/^200 after .* proven$/).waitFor();
  const body = await page.locator('pre').last().textContent();
  expect(body).toBe(await (await embed(of, ['How do I reset my password?'])).text());
  await page.getByText('inference').waitFor();
  await shot(page, 'play-answered');
  expect(await violations(page)).toEqual([]);
  await page.getByLabel('Texts, one a line').fill('x\n'.repeat(100));
  await page.getByLabel('Route').selectOption('/v1/embeddings');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('alert').getByText('POST /v1/try/v1/embeddings').waitFor();
  expect(faults.filter((fault) => !fault.includes('400'))).toEqual([]);
});

test('where a key is required the page asks for it, and goes on', { timeout: 60_000 }, async () => {
  const keys = join(mkdtempSync(join(tmpdir(), 'preheat-web-')), 'keys');
  writeFileSync(keys, 'right\n');
  const of = await ready(await start(`[auth]\nadmin_keys_file = '${keys}'\n${SIM('')}`));
  const { page } = await open(`${of.admin}/`);
  await page.getByLabel('Admin key').fill('right');
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Use it' }).click();
  await page.getByText('● live').waitFor();
  expect(readFileSync(keys, 'utf8')).toContain('right');
});

/** The bar: under a second from a binary that has served no page before. */
test('the page opens within a second', { timeout: 60_000 }, async () => {
  const of = shared;
  const took: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    const { page } = await open(`${of.admin}/`, { watch: true });
    await page.waitForFunction(() => 'shownAfter' in window);
    took.push(await page.evaluate(() => (window as unknown as { shownAfter: number }).shownAfter));
    await page.context().close();
  }
  console.info(`from navigation to the picture: ${took.map(Math.round).join(', ')} ms`);
  expect(Math.min(...took)).toBeLessThan(1000);
});
