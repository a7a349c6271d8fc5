import { expect, test } from 'vitest';
import { costs, price, rowOf, STAGES } from './costs';
import { brokenAt, gates, hadUsers, type Rollout, serving, stepOf } from './rollout';

const ROLLOUT: Rollout = {
  from: '9c1f',
  from_source: 'a',
  to: 'b07e',
  to_source: 'b',
  stage: 'proving',
  detail: '',
  size: 4,
  proven: 2,
  stage_ms: 1000,
  limits: { slo_p95_ms: 200, max_ratio: 1.2, slack_ms: 2, max_errors: 0.001 },
};
const SEEN = { requests: 900, errors: 0, p95_ms: 138, blue_p95_ms: 141 };

const verdicts = (more: Partial<Rollout>) => gates({ ...ROLLOUT, ...more }).map((gate) => gate.ok);

test('a gate is open, passed or missed, and never passed unseen', () => {
  expect(verdicts({})).toEqual([null, null, null]);
  expect(verdicts({ stage: 'refused' })).toEqual([false, null, null]);
  const loading = { stage: 'loading', proven: 4, seen: SEEN };
  expect(verdicts(loading)).toEqual([true, true, true]);
  // Under the objective, and still too much slower than blue.
  expect(verdicts({ ...loading, seen: { ...SEEN, p95_ms: 180 } })[1]).toBe(false);
  // A difference that is noise.
  expect(verdicts({ ...loading, seen: { ...SEEN, p95_ms: 3, blue_p95_ms: 1.5 } })[1]).toBe(true);
  // No synthetic request may fail, of users' one in a thousand may.
  expect(verdicts({ ...loading, seen: { ...SEEN, errors: 1 } })[2]).toBe(false);
  const watching = { ...loading, stage: 'watching', seen: { ...SEEN, requests: 10_000, errors: 10 } };
  expect(verdicts(watching)[2]).toBe(true);
  expect(verdicts({ ...watching, seen: { ...watching.seen, errors: 11 } })[2]).toBe(false);
  // No request shows nothing, and neither does one without a limit.
  expect(verdicts({ ...loading, seen: { ...SEEN, requests: 0 } })).toEqual([true, null, null]);
  expect(verdicts({ ...loading, limits: undefined })[1]).toBeNull();
});

test('a green that users met was proven, although its replicas are gone', () => {
  const [proven] = gates({ ...ROLLOUT, stage: 'rolled_back', proven: 0 });
  expect(proven).toMatchObject({ ok: true, value: '4' });
});

test('every stage of a rollout has its step, and the way back has none', () => {
  expect(['proving', 'loading', 'switching', 'watching', 'keeping', 'promoted'].map(stepOf)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(['discarding', 'returning', 'refused', 'rolled_back', 'of a later version'].map(stepOf)).toEqual([-1, -1, -1, -1, -1]);
});

test('who serves, and whether green ever did', () => {
  const of = (stage: string) => [serving({ ...ROLLOUT, stage }), hadUsers({ ...ROLLOUT, stage })];
  expect(of('loading')).toEqual(['blue', false]);
  expect(of('keeping')).toEqual(['green', true]);
  expect(of('rolled_back')).toEqual(['blue', true]);
  expect(of('refused')).toEqual(['blue', false]);
});

test('the step that a green failed at is known', () => {
  const of = (stage: string, more: Partial<Rollout> = {}) => brokenAt({ ...ROLLOUT, stage, ...more });
  expect([of('refused'), of('refused', { seen: SEEN }), of('rolled_back', { seen: SEEN })]).toEqual([1, 2, 4]);
  expect([of('discarding', { seen: SEEN }), of('discarding', { detail: 'by hand: green had served for 3 s' })]).toEqual([2, 4]);
  expect([of('keeping'), of('promoted'), of('of a later version')]).toEqual([-1, -1, -1]);
});

test('measured stages are counted once in their row', () => {
  const measured = [
    { stage: 'weights', start_ms: 10, ms: 100 },
    { stage: 'checksum', start_ms: 60, ms: 100 },
    { stage: 'warm 1x16', start_ms: 200, ms: 30 },
    { stage: 'warm 4x16', start_ms: 230, ms: 20 },
    { stage: 'of another engine', start_ms: 0, ms: 1 },
  ];
  const of = Object.fromEntries(costs(measured).map(({ row, ms }) => [row.stage, ms]));
  expect([of['weights'], of['warm-up'], of['tokenizer']]).toEqual([150, 50, null]);
  expect(rowOf('of another engine')).toBeUndefined();
  expect(STAGES.every(({ typical: [from, to] }) => from! <= to!)).toBe(true);
});

test('what a start costs: who comes meanwhile, and hours of replicas', () => {
  expect(price(72_000, 10, 100)).toEqual({ requests: 720, hours: 60 });
});
