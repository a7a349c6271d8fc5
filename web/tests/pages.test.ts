// Every page, on a real replica with the real model: figures against the API, axe, the policy.

import { afterAll, beforeAll, test } from 'vitest';
import { close, cutTables, embed, open, REAL, type Replica, ready, replica, shot, violations } from './support';

let real: Replica;

beforeAll(async () => {
  real = await ready(await replica(REAL));
  for (let n = 0; n < 20; n += 1) await embed(real, ['a short text', 'and another one']);
}, 90_000);

afterAll(async () => {
  real?.stop();
  await close();
});

const PAGES = ['watch', 'start', 'diff', 'ready', 'traffic', 'fleet', 'rollout', 'costs', 'play'];

for (const dark of [false, true]) {
  for (const width of [1280, 360]) {
    test.concurrent(`every page is in order, ${dark ? 'dark' : 'light'}, ${width} px`, { timeout: 60_000 }, async ({ expect }) => {
      const { page, faults } = await open(`${real.admin}/`, { dark, width });
      await page.getByText('● live').waitFor();
      for (const name of PAGES) {
        await page.evaluate((to) => (location.hash = `#/${to}`), name);
        await page.waitForTimeout(name === 'traffic' ? 500 : 120);
        expect(await violations(page), name).toEqual([]);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow, `${name} is wider than the screen`).toBeLessThanOrEqual(0);
        expect(await cutTables(page), name).toBe(0);
        await shot(page, `${name}-${dark ? 'dark' : 'light'}-${width}`);
      }
      expect(faults).toEqual([]);
      await page.context().close();
    });
  }
}
