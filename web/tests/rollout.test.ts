// A real gateway that goes from one revision to the next, as its page shows it.

import { writeFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, expect, test } from 'vitest';
import { close, embed, gateway, open, preheat, type Replica, shot, until, violations } from './support';

const running: (() => void)[] = [];

afterEach(() => {
  for (const stop of running.splice(0)) stop();
});
afterAll(close);

const MODEL = `
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 1
buckets = { batch = [1], tokens = [16] }
[model.sim]
weights = "20ms"
first_run = "5ms"
run = "RUN"
`;

/** Long enough to be looked at; a person ends what would take longer. */
const FLEET = `
[drain]
delay = "0s"
[slo]
p95 = "5s"
[fleet]
min = 2
max = 3
spares = 0
concurrency = 2
[fleet.rollout]
load_for = "2s"
watch_for = "60s"
keep_for = "60s"
slack = "2s"
${MODEL.replace('RUN', '20ms')}`;

interface Told {
  rollout?: { stage: string; from: string; to: string };
  revision: string;
  replicas: { phase: string; revision: string; serving: boolean }[];
}

async function told(of: Replica): Promise<Told> {
  return (await (await fetch(`${of.admin}/v1/services`)).json())[0];
}

const stage = async (of: Replica, wanted: string): Promise<boolean> => (await told(of)).rollout?.stage === wanted;

const share = (page: Page, side: string, percent: number) =>
  page.locator(`[aria-label="${side} has ${percent} % of the traffic"]`).waitFor();

/** Both looks of a page that shows one rollout, each opened once and never reloaded. */
async function looks(of: Replica): Promise<{ page: Page; faults: string[]; name: string }[]> {
  const both = [
    { dark: false, width: 1280 },
    { dark: true, width: 390 },
  ];
  return Promise.all(
    both.map(async (look) => ({
      ...(await open(`${of.admin}/#/rollout`, look)),
      name: look.dark ? 'dark' : 'light',
    })),
  );
}

async function roll(of: Replica, run: string): Promise<void> {
  const file = `${of.folder}/green-${run}.toml`;
  writeFileSync(file, MODEL.replace('RUN', run));
  await preheat(['rollout', '--url', of.admin, '--to', file, '--detach']);
}

test('a rollout is seen from its first step to its end, and the next one back', { timeout: 120_000 }, async () => {
  const of = await gateway(FLEET);
  running.push(of.stop);
  await until('two serve', async () => (await told(of)).replicas.filter((one) => one.serving).length === 2);
  const pages = await looks(of);
  for (const { page } of pages) await page.getByText('No rollout so far.').waitFor();
  const blue = (await told(of)).revision;

  await roll(of, '18ms');
  const each = async (look: (page: Page, name: string) => Promise<unknown>) => {
    await Promise.all(pages.map(({ page, name }) => look(page, name)));
  };
  await each((page) => page.locator('ol.steps').waitFor());
  await each((page) => page.locator('[aria-label^="step 3 of 6: loading"]').waitFor());
  await each((page) => share(page, 'blue', 100));
  await each((page, name) => shot(page, `real-rollout-loading-${name}`));
  await each((page) => page.locator('[aria-label^="step 5 of 6: watching"]').waitFor());
  await each((page) => share(page, 'green', 100));
  await each((page) => share(page, 'blue', 0));
  for (let n = 0; n < 10; n += 1) expect((await embed(of, ['x'])).status).toBe(200);
  for (const { page, faults } of pages) {
    expect(await violations(page)).toEqual([]);
    expect(faults).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  }
  await each((page, name) => shot(page, `real-rollout-watching-${name}`));

  await preheat(['promote', '--url', of.admin]);
  await each((page) => page.getByText('Green serves, blue is gone.').waitFor());
  const green = (await told(of)).revision;
  expect(green).not.toBe(blue);
  await each((page, name) => shot(page, `real-rollout-promoted-${name}`));

  await roll(of, '16ms');
  const [first] = pages;
  if (!first) throw new Error('two pages are open');
  await first.page.locator('[aria-label^="step 5 of 6: watching"]').waitFor();
  await first.page.getByRole('button', { name: 'Roll back…' }).click();
  await first.page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await each((page) => page.getByText('Back to blue.').waitFor());
  await each((page) => share(page, 'blue', 100));
  await until('it is over', () => stage(of, 'rolled_back'));
  expect((await told(of)).revision).toBe(green);
  expect((await embed(of, ['x'])).status).toBe(200);
  await each((page, name) => shot(page, `real-rollout-back-${name}`));
});
