// A real gateway with simulated engines, and rollouts as one tells of them.

import { afterAll, afterEach, expect, test } from 'vitest';
import { DECISIONS, type Fake, fake, rollout, services } from './fake';
import { close, cutTables, embed, gateway, open, type Replica, shot, until, violations } from './support';

const running: (() => void)[] = [];

afterEach(() => {
  for (const stop of running.splice(0)) stop();
});
afterAll(close);

const FLEET = `
[drain]
delay = "0s"
[slo]
p95 = "5s"
[fleet]
min = 2
max = 4
spares = 1
concurrency = 2
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 1
buckets = { batch = [1], tokens = [16] }
[model.sim]
weights = "20ms"
first_run = "5ms"
run = "20ms"
`;

interface Seen {
  phase: string;
  role: string;
  id: string;
}

async function fleet(of: Replica): Promise<Seen[]> {
  const services = await (await fetch(`${of.admin}/v1/services`)).json();
  return services[0].replicas;
}

test('a real fleet comes up, serves and is counted', { timeout: 90_000 }, async () => {
  const of = await gateway(FLEET);
  running.push(of.stop);
  const { page, faults } = await open(`${of.admin}/`);
  await page.getByText('a gateway', { exact: true }).waitFor();
  await page.getByRole('heading', { name: 'embedder' }).waitFor();
  const settled = (replicas: Seen[]) => replicas.length === 3 && replicas.every((one) => one.phase === 'ready');
  await until('three are ready', async () => settled(await fleet(of)));
  for (let n = 0; n < 10; n += 1) expect((await embed(of, ['x'])).status).toBe(200);
  // What the page counts is what the gateway says.
  await until('the page counts them too', async () => (await page.locator('.cells button').count()) === 3);
  const replicas = await fleet(of);
  const row = (role: string) => page.locator('main table tbody tr').filter({ hasText: role }).first();
  for (const role of ['active', 'spare']) {
    const ready = replicas.filter((one) => one.role === role && one.phase === 'ready').length;
    await until(role, async () => (await row(role).locator('td').nth(4).textContent()) === String(ready));
  }
  await page.locator('.cells button').first().click();
  await page.getByText('in flight').waitFor();
  const decisions = await (await fetch(`${of.admin}/v1/decisions`)).json();
  const newest = decisions.at(-1);
  await until('the newest decision', async () =>
    ((await page.locator('.decisions li').first().textContent()) ?? '').includes(newest.reason),
  );
  await shot(page, 'gateway-fleet');
  expect(await violations(page)).toEqual([]);
  expect(faults).toEqual([]);
});

test('every page of a gateway is in order, light and dark, wide and narrow', { timeout: 90_000 }, async () => {
  const of = await gateway(FLEET);
  running.push(of.stop);
  await until('one is ready', async () => (await fleet(of)).some((one) => one.phase === 'ready'));
  for (const dark of [false, true]) {
    for (const width of [1280, 360]) {
      const { page, faults } = await open(`${of.admin}/`, { dark, width });
      await page.getByText('a gateway', { exact: true }).waitFor();
      for (const name of ['fleet', 'rollout', 'watch', 'costs']) {
        await page.evaluate((to) => (location.hash = `#/${to}`), name);
        await page.waitForTimeout(150);
        expect(await violations(page), name).toEqual([]);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow, `${name} is wider than the screen`).toBeLessThanOrEqual(0);
        expect(await cutTables(page), name).toBe(0);
        await shot(page, `gateway-${name}-${dark ? 'dark' : 'light'}-${width}`);
      }
      expect(faults).toEqual([]);
      await page.context().close();
    }
  }
});

const told = async (more: object, post?: (path: string) => unknown): Promise<Fake> => {
  const json = {
    '/v1/services': services(3).map((service) => ({ ...(service as object), rollout: rollout(more) })),
    '/v1/decisions': DECISIONS,
  };
  const made = await fake({ passport: undefined, stream: () => {}, json, post });
  running.push(made.close);
  return made;
};

const SEEN = { requests: 900, errors: 0, p95_ms: 138, blue_p95_ms: 141 };
const STAGES: [string, object, string][] = [
  ['proving', { proven: 2, seen: undefined }, 'step 2 of 6: proving'],
  ['loading', {}, 'step 3 of 6: loading'],
  ['watching', { seen: SEEN }, 'step 5 of 6: watching'],
  ['refused', { seen: { ...SEEN, p95_ms: 412 }, detail: 'green is slower than blue: p95 412 ms' }, 'refused'],
];

test.each(STAGES)('a rollout is told: %s', { timeout: 30_000 }, async (stage, more, label) => {
  const of = await told({ stage, ...more });
  for (const look of [{}, { dark: true, width: 390 }]) {
    const { page, faults } = await open(`${of.url}/#/rollout`, look);
    await page.locator(`[aria-label="${label}"]`).waitFor();
    if (stage === 'refused') {
      await page.getByText('never had a user’s request').waitFor();
      const missed = page.locator('.checks li').filter({ hasText: 'p95 under synthetic load' });
      expect(await missed.textContent()).toContain('missed');
      expect(await missed.textContent()).toContain('412 ms');
      expect(await page.getByRole('button', { name: 'Roll back…' }).count()).toBe(0);
    }
    expect(await violations(page)).toEqual([]);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    await shot(page, `rollout-${stage}-${look.dark ? 'dark' : 'light'}`);
    expect(faults).toEqual([]);
    await page.context().close();
  }
});

test('a way back is asked for once more, and then taken', { timeout: 30_000 }, async () => {
  const posted: string[] = [];
  const of = await told({ stage: 'watching', seen: SEEN }, (path) => posted.push(path));
  const { page, faults } = await open(`${of.url}/#/rollout`);
  await page.getByRole('button', { name: 'Roll back…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('All traffic of embedder goes to blue').waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  expect(posted).toEqual([]);
  await page.getByRole('button', { name: 'Roll back…' }).click();
  expect(await violations(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Roll back' }).click();
  await until('it was posted', async () => posted.length === 1);
  expect(posted).toEqual(['/v1/services/embedder:rollback']);
  expect(faults).toEqual([]);
});

test.each(['fleet', 'rollout'])('%s: a gateway that goes and comes back', { timeout: 30_000 }, async (name) => {
  const script = {
    passport: undefined,
    stream: () => {},
    json: {
      '/v1/services': services(3).map((service) => ({ ...(service as object), rollout: rollout({}) })),
      '/v1/decisions': DECISIONS,
    },
  };
  const first = await fake(script);
  const { page } = await open(`${first.url}/#/${name}`);
  const picture = page.getByRole('heading', { name: 'embedder' });
  await picture.waitFor();
  first.close();
  const lost = page.getByRole('alert').filter({ hasText: 'connection lost' });
  await lost.waitFor();
  expect(await picture.count()).toBe(1);
  const drawn = page.locator('.cells, .steps').first();
  expect(await drawn.evaluate((element) => getComputedStyle(element).filter)).toBe('grayscale(1)');
  expect(await violations(page)).toEqual([]);
  const back = await fake({ ...script, port: Number(new URL(first.url).port) });
  running.push(back.close);
  await lost.waitFor({ state: 'detached' });
  expect(await picture.count()).toBe(1);
});
