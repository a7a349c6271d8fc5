import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ciede2000, contrast, distance, type Vision } from './colorimetry';
import { DARK, GROUPS, LIGHT, type Theme } from './colours';

const CSS = readFileSync(new URL('./tokens.css', import.meta.url), 'utf8');

test('the distance is the published one', () => {
  // Sharma, Wu and Dalal 2005, pairs 1, 7 and 25.
  expect(ciede2000([50, 2.6772, -79.7751], [50, 0, -82.7485])).toBeCloseTo(2.0425, 3);
  expect(ciede2000([50, 0, 0], [50, -1, 2])).toBeCloseTo(2.3669, 3);
  expect(ciede2000([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387])).toBeCloseTo(1.2644, 3);
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
});

describe.each([
  ['light', LIGHT, 10.9],
  ['dark', DARK, 13.0],
] as [string, Theme, number][])('%s', (name, theme, least) => {
  test('the style sheet says the same as the canvas', () => {
    const [light = '', dark = ''] = CSS.split('@media');
    const block = name === 'light' ? light : dark;
    const token = (key: string) => new RegExp(`--${key}: (#[0-9a-f]{6});`).exec(block)?.[1];
    for (const key of ['ground', 'panel', 'ink', 'muted', 'edge', 'focus', 'alarm'] as const) {
      expect(token(key), key).toBe(theme[key]);
    }
    for (const group of GROUPS) {
      expect(token(group), group).toBe(theme.fill[group]);
      expect(token(`on-${group}`), `on-${group}`).toBe(theme.on[group]);
    }
  });

  test('every fill stands out, and its letter is read', () => {
    for (const group of GROUPS) {
      for (const ground of [theme.ground, theme.panel]) {
        expect(contrast(theme.fill[group], ground), group).toBeGreaterThanOrEqual(3);
      }
      expect(contrast(theme.on[group], theme.fill[group]), group).toBeGreaterThanOrEqual(4.6);
    }
    for (const ground of [theme.ground, theme.panel]) {
      expect(contrast(theme.ink, ground)).toBeGreaterThanOrEqual(7);
      expect(contrast(theme.muted, ground)).toBeGreaterThanOrEqual(5.9);
      expect(contrast(theme.edge, ground)).toBeGreaterThanOrEqual(3);
      expect(contrast(theme.focus, ground)).toBeGreaterThanOrEqual(3);
      expect(contrast(theme.alarm, ground)).toBeGreaterThanOrEqual(4.5);
    }
  });

  test.each(['normal', 'protan', 'deutan', 'tritan'] as Vision[])('fills are told apart, %s', (vision) => {
    for (const a of GROUPS) {
      for (const b of GROUPS.filter((b) => b > a)) {
        const far = distance(theme.fill[a], theme.fill[b], vision);
        expect(far, `${a} and ${b}`).toBeGreaterThanOrEqual(least - 0.1);
      }
    }
  });
});
