import { expect, test } from 'vitest';
import { Refused } from '../api';
import { after, type Answer, type Decision, heard, passes, type Service } from './fleet';

const service = (name: string, wanted: number) => ({ name, wanted }) as Service;
const decision = (sequence: number) => ({ sequence, reason: String(sequence) }) as Decision;
const FLEET = { kind: 'fleet' as const, services: [service('a', 1), service('b', 1)], decisions: [decision(1), decision(2)] };

test('a service takes the place of what was known of it', () => {
  const after = heard(FLEET, 'service', service('b', 3));
  expect(after.services.map(({ wanted }) => wanted)).toEqual([1, 3]);
  expect(after.decisions).toBe(FLEET.decisions);
});

test('decisions are told once, and only so many are kept', () => {
  expect(heard(FLEET, 'decisions', [decision(1), decision(2)])).toBe(FLEET);
  const after = heard(FLEET, 'decisions', [decision(2), decision(3)]);
  expect(after.decisions.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  const many = Array.from({ length: 1500 }, (_, n) => decision(n + 3));
  const kept = heard(FLEET, 'decisions', many).decisions;
  expect([kept.length, kept.at(-1)?.sequence]).toEqual([1000, 1502]);
});

const failed = (status: number): Answer => ({ kind: 'problem', why: new Refused('GET /v1/services', status, 'no') });

test.each([0, 503])('the last picture stays while nobody answers: %i', (status) => {
  const lost = after(FLEET, failed(status));
  expect(lost).toMatchObject({ kind: 'fleet', services: FLEET.services, lost: { status } });
  expect(passes(failed(status))).toBe(true);
  expect(after(lost, FLEET)).toBe(FLEET);
});

test('a refusal takes its place, and is not asked about again', () => {
  expect(after(FLEET, failed(401)).kind).toBe('problem');
  expect(passes(failed(401))).toBe(false);
});

test('who was never reached is asked again', () => {
  expect(after({ kind: 'asking' }, failed(0)).kind).toBe('problem');
  expect(passes(failed(0))).toBe(true);
});
