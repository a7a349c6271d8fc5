import { expect, test } from 'vitest';
import { at, layout } from './fleet';
import { bytes, leadingNumber, linear, logTicks, logY, moment, ticks, time } from './scales';

test('a decade is as high as the next, and what is outside stays at the edge', () => {
  const y = (ms: number) => logY(ms, 0, 500);
  expect(y(1)).toBe(500);
  expect(y(100_000)).toBe(0);
  expect(y(10) - y(100)).toBeCloseTo(y(1000) - y(10_000), 9);
  expect([y(0), y(0.001), y(Number.NaN)]).toEqual([500, 500, 500]);
  expect(y(1e9)).toBe(0);
});

test('a window of no length is no division by nothing', () => {
  expect(linear(5, 3, 3, 10, 20)).toBe(10);
  expect(linear(5, 0, 10, 0, 100)).toBe(50);
});

test('ticks are round and few', () => {
  expect(ticks(0, 10, 5)).toEqual([0, 2, 4, 6, 8, 10]);
  expect(ticks(0, 0, 5)).toEqual([]);
  for (const [from, to] of [[0, 1], [3, 3.001], [17, 69_000], [1e6, 1e6 + 37]] as const) {
    expect(ticks(from, to, 6).length).toBeLessThanOrEqual(7);
    expect(ticks(from, to, 6).every((tick) => tick >= from - 1e-9 && tick <= to + 1e-6)).toBe(true);
  }
  expect(logTicks(1, 100)).toEqual([1, 2, 5, 10, 20, 50, 100]);
});

test('times have three digits and a unit that a person reads', () => {
  const shown = [0, 0.034, 3.14159, 31.26, 314.2, 999.6, 1800, 69_000, -5, Number.NaN].map(time);
  expect(shown).toEqual(['0 ms', '0.03 ms', '3.14 ms', '31.3 ms', '314 ms', '1 s', '1.8 s', '69 s', '−5 ms', '–']);
  const long = [999_499, 999_500, 1_000_400, 3_600_000, 7_260_000, 86_400_000, 273_600_000].map(time);
  expect(long).toEqual(['999 s', '16 min 40 s', '16 min 40 s', '1 h', '2 h 1 min', '1 d', '3 d 4 h']);
  expect([0, 999_499, 1_000_000, 18_010_000, 18_010_250, 360_000_000].map(moment)).toEqual(['0 ms', '999 s', '0:16:40', '5:00:10', '5:00:10.25', '100:00:00']);
  expect([0, 999, 90_868_376, 25_276_514_304].map(bytes)).toEqual(['0 B', '999 B', '90.9 MB', '25.3 GB']);
});

test('a bullet bar is drawn from figures only', () => {
  expect(leadingNumber('1.16 × steady (grpc)')).toBe(1.16);
  expect(leadingNumber('0.9 %')).toBe(0.9);
  expect(leadingNumber('10 requests, 0 failed')).toBeNull();
  expect(leadingNumber('all')).toBeNull();
});

test('cells stay where they are, large up to 200 and small beyond', () => {
  expect(layout(200, 400).cell).toBe(18);
  expect(layout(1000, 400)).toEqual({ cell: 8, columns: 40, rows: 25, height: 250 });
  const cells = Array.from({ length: 300 }, (_, n) => ({ id: String(n), phase: 'ready', role: 'active' }));
  expect(at(cells, 400, 405, 5)).toBeUndefined();
  expect(at(cells, 400, 15, 11)?.id).toBe('41');
});
