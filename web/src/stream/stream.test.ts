import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Passport } from '../api';
import { openCounts } from '../paint/watch';
import { bins, levels } from './bins';
import { advance, fitting, following, seek } from './clock';
import { backOff } from './reader';
import { apply, emptySide, emptyWorld, now, phaseAt, quantile, readout, snapshot } from './reducer';
import { RequestRing } from './ring';
import { Parser } from './sse';
import { readTrace } from './trace';
import { account } from './waterfall';

const PASSPORT = {
  id: '7f3a0000',
  epoch: '7f3a',
  uptime_ms: 1000,
  phases: [
    { phase: 'starting', at_ms: 0 },
    { phase: 'warming', at_ms: 400 },
  ],
  objectives: { slo_p95_ms: 200, headroom: 0.2, concurrency: 4, queue: 8 },
  report: { model: 'm', phase: 'warming', stage: 'warming', detail: '', models: [{ checks: [], waterfall: [] }] },
} as unknown as Passport;

function world() {
  const made = emptyWorld();
  snapshot(made, structuredClone(PASSPORT), 50);
  return made;
}

const requests = (more: object) => ({
  at_ms: 2000,
  answered: [],
  left_out: { in_time: 0, breaches: 0, missed: 0 },
  open: [],
  open_total: 0,
  ...more,
});

test('messages are read however the bytes are cut', () => {
  const text = ': hello\n\nevent: phase\r\ndata: {"a":1}\r\nid: e-1\r\n\r\ndata: x\ndata: y\n\nevent: cut\ndata: z';
  const expected = [
    { event: 'heartbeat', data: '', id: null },
    { event: 'phase', data: '{"a":1}', id: 'e-1' },
    { event: 'message', data: 'x\ny', id: null },
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new Parser();
    const out = [];
    for (let at = 0; at < text.length; at += size) out.push(...parser.push(text.slice(at, at + size)));
    expect(out, `pieces of ${size}`).toEqual(expected);
  }
  expect(() => new Parser().push('x'.repeat(2 << 20))).toThrow('without an end');
});

test('waits grow, are bounded, and differ', () => {
  expect([1, 2, 3, 4, 9, 99].map((tries) => backOff(tries, 0.5))).toEqual([500, 1000, 2000, 4000, 10_000, 10_000]);
  expect(backOff(1, 0)).toBeLessThan(backOff(1, 1));
});

test('what the snapshot told is not told twice by the events before it', () => {
  const w = world();
  apply(w, 'phase', { phase: 'starting', stage: 'cold', at_ms: 0.3, detail: '' }, 60);
  apply(w, 'phase', { phase: 'warming', stage: 'warming', at_ms: 400.2, detail: '' }, 60);
  apply(w, 'phase', { phase: 'ready', stage: 'warm', at_ms: 1500, detail: 'ready' }, 60);
  expect(w.side.bands[0]?.segments.map((s) => s.phase)).toEqual(['starting', 'warming', 'ready']);
  expect(w.passport?.report.phase).toBe('ready');
  const stage = { stage: 'weights', start_ms: 1, ms: 2 };
  apply(w, 'stage', stage, 60);
  apply(w, 'stage', stage, 60);
  expect(w.passport?.report.models[0]?.waterfall).toEqual([stage]);
  apply(w, 'case', { name: 'a', shape: '1x16', path: 'http', round: 1, ms: 3, at_ms: 10 }, 60);
  apply(w, 'case', { name: 'a', shape: '1x16', path: 'http', round: 1, ms: 3, at_ms: 10 }, 60);
  expect(w.side.synthetic).toEqual([{ at: 7, ms: 3, name: 'a' }]);
  apply(w, 'of a later version', { anything: true }, 60);
});

test('another start is another replica, and a silence is a gap', () => {
  const w = world();
  snapshot(w, { ...structuredClone(PASSPORT), uptime_ms: 9000 }, 90);
  expect(w.side.gaps).toEqual([[1000, 9000]]);
  snapshot(w, { ...structuredClone(PASSPORT), epoch: 'beef', uptime_ms: 5 }, 100);
  expect([w.side.gaps, w.side.until]).toEqual([[], 5]);
});

test('time goes on between messages', () => {
  const w = world();
  expect(now(w, 50)).toBe(1000);
  expect(now(w, 80)).toBe(1030);
  expect(now(emptyWorld(), 80)).toBe(0);
});

test('figures count those who wait past the line, and not what is to come', () => {
  const w = world();
  apply(
    w,
    'requests',
    requests({
      answered: [
        [1, 100, 50, 'ok'],
        [2, 150, 900, 'ok'],
        [3, 160, 1, 'refused'],
        [4, 5000, 10, 'ok'],
      ],
      open: [[5, 1900]],
      open_total: 1,
    }),
    60,
  );
  const at = readout(w.side, 600);
  expect([at.served, at.waiting, at.waitingOver, at.over, at.refused]).toEqual([1, 1, 1, 1, 1]);
  const later = readout(w.side, 2200);
  expect([later.served, later.waiting, later.waitingOver, later.over]).toEqual([2, 1, 1, 2]);
  expect(readout(w.side, 1100).p95).toBe(900);
  expect(readout(w.side, 3500).p95).toBeNull();
});

test('a sample stands for all that it was taken from', () => {
  const w = world();
  const answered = [
    [1, 1, 10, 'ok'],
    [2, 2, 500, 'ok'],
  ];
  apply(w, 'requests', requests({ answered, left_out: { in_time: 99, breaches: 0, missed: 7 } }), 60);
  const figures = readout(w.side, 900);
  expect([figures.served, figures.over, figures.p95, w.missed, w.sampled]).toEqual([101, 1, 10, 7, true]);
});

test('quantiles are values that occurred', () => {
  const of = (...values: number[]) => values.map((v): [number, number] => [v, 1]);
  expect(quantile(of(), 0.5)).toBeNull();
  expect(quantile(of(3), 0.99)).toBe(3);
  expect(quantile(of(4, 1, 3, 2), 0.5)).toBe(2);
  expect(quantile(of(...Array.from({ length: 100 }, (_, n) => n + 1)), 0.95)).toBe(95);
});

test('the ring keeps the newest and counts the rest', () => {
  const ring = new RequestRing(4);
  for (let n = 0; n < 10; n += 1) ring.push(n, 1, 0);
  expect([...ring].map((at) => ring.arrival[at])).toEqual([6, 7, 8, 9]);
  expect([ring.length, ring.fellOut]).toEqual([4, 6]);
});

test('who was open at once, by column', () => {
  const side = emptySide();
  // One after the other, without a pause: never two at once.
  for (let n = 0; n < 10; n += 1) side.requests.push(n * 10, 10, 0);
  const view = { from: 0, to: 100, at: 100 };
  expect([...openCounts(side, view, 5)]).toEqual([1, 1, 1, 1, 1]);
  side.requests.push(42, 30, 0);
  side.open = [[1, 70]];
  expect([...openCounts(side, view, 5)]).toEqual([1, 1, 2, 3, 2]);
});

test('the critical path holds the whole start but for what nobody accounts for', () => {
  const stages = [
    { stage: 'start', start_ms: 0, ms: 10 },
    { stage: 'weights', start_ms: 15, ms: 100 },
    { stage: 'tokenizer', start_ms: 15, ms: 60 },
    { stage: 'warm', start_ms: 115, ms: 85 },
    { stage: 'first_request', start_ms: 900, ms: 5 },
  ];
  const { critical, unaccounted } = account(stages, 210);
  expect(unaccounted).toBeCloseTo(15, 9);
  const sum = [...critical.values()].flat().reduce((total, [from, to]) => total + to - from, 0);
  expect(sum + unaccounted).toBeCloseTo(210, 9);
  expect(critical.has(2)).toBe(false);
  expect(account([], 50).unaccounted).toBe(50);
  expect(account([{ stage: 'x', start_ms: 5, ms: 0 }], 10).unaccounted).toBeCloseTo(10, 9);
});

test('playing moves at its speed, stops at the end, and lasts about twenty seconds', () => {
  const play = { from: 0, to: 100, at: 90, speed: 0.1, playing: true };
  expect(advance(play, 50)).toMatchObject({ at: 95, playing: true });
  expect(advance(play, 5000)).toMatchObject({ at: 100, playing: false });
  expect(advance({ ...play, playing: false }, 50).at).toBe(90);
  expect([seek(play, -5).at, seek(play, 500).at]).toEqual([0, 100]);
  expect([31, 2000, 20_000, 69_000, 1e6].map(fitting)).toEqual([0.01, 0.1, 1, 4, 16]);
});

test('what is live fills its picture, however long it has been running', () => {
  expect(following(100)).toEqual({ from: 0, to: 5000 });
  for (const now of [30_000, 61_000, 3_600_000, 86_400_000]) {
    const { from, to } = following(now);
    expect((now - from) / (to - from), String(now)).toBeGreaterThan(0.97);
  }
});

test('a trace is read, and what is wrong with it is named', () => {
  const text = readFileSync(new URL('../../tests/fixtures/trace.ndjson', import.meta.url), 'utf8');
  const trace = readTrace(text);
  expect(trace.sides.map((side) => side.title)).toEqual(['without protection', 'with preheat']);
  expect(trace.simulated).toBe(true);
  const over = trace.sides.map((side) => readout(side, trace.until).over);
  expect(over[0]).toBeGreaterThan(0);
  expect(over[1]).toBe(0);
  expect(phaseAt(trace.sides[0]?.bands[0], trace.until)).toBe('ready');
  expect(() => readTrace('{"x":1}')).toThrow('line 1');
  expect(() => readTrace('{"trace":1}\n{"kind":"request"}')).toThrow('line 2: no at_ms');
  expect(() => readTrace('{"trace":1}\nnot json')).toThrow('line 2');
  expect(() => readTrace('{"trace":1}\n{"side":7,"at_ms":1}')).toThrow('no side 7');
});

test('sides that share their arrivals have them once', () => {
  const lines = [
    { trace: 1, title: 't', slo_ms: 300, from_ms: 1000, until_ms: 9000, sides: ['a', 'b'] },
    { kind: 'arrivals', at_ms: 2000, gaps: [100, 0] },
    { kind: 'answers', side: 0, ms: [50, 400, [7, 'refused']] },
    { kind: 'answers', side: 1, ms: [50, null, 60] },
  ];
  const text = (all: object[]) => all.map((line) => JSON.stringify(line)).join('\n');
  const trace = readTrace(text(lines));
  const [a, b] = trace.sides.map((side) => readout(side, 5000));
  expect([trace.from, a?.served, a?.over, a?.refused]).toEqual([1000, 2, 1, 1]);
  expect([b?.served, b?.waiting, b?.over]).toEqual([2, 1, 1]);
  const short = { kind: 'answers', side: 1, ms: [50] };
  expect(() => readTrace(text([...lines.slice(0, 3), short]))).toThrow('line 4: not one answer for each arrival');
  expect(() => readTrace(text([lines[0]!, { kind: 'arrivals', at_ms: 1 }]))).toThrow('line 2: no list of gaps');
});

test('seconds without an answer have no quantile, and batches are what ran in between', () => {
  const side = emptySide();
  side.requests.push(100, 50, 0);
  side.requests.push(2100, 70, 0);
  const second = bins(side, 3500, 3);
  expect([second.at, second.p95, second.rate]).toEqual([[1, 2, 3], [null, 70, null], [0, 1, 0]]);
  const gauge = (at_ms: number, batches: number, rows: number) =>
    ({ at_ms, batches, rows, open: 0, queued_rows: 0 }) as never;
  const level = levels([gauge(100, 0, 0), gauge(350, 2, 6), gauge(600, 2, 6)], 1000, 5);
  expect(level.batch).toEqual([null, 3, null]);
});
