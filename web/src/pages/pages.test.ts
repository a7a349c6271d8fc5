import { expect, test } from 'vitest';
import { detail } from '../api';
import { format, parse } from '../router';
import { curl, timings } from './playground';
import { checklist } from './readiness';

test('an address names a view', () => {
  expect(parse('#/watch?at=5').query.get('at')).toBe('5');
  expect([parse('').page, parse('#/fleet').page]).toEqual(['', 'fleet']);
  expect(format('watch', { at: '5', what: undefined })).toBe('#/watch?at=5');
});

test('the terminal line survives any text', () => {
  expect(curl('h:1', '/embed', `["it's"]`, true)).toContain(`'["it'\\''s"]'`);
  expect(curl('h:1', '/embed', '[]', false)).not.toContain('x-api-key');
});

test('timings are read, and what is none is left out', () => {
  const header = 'prepare;dur=0.07, queue;desc="x";dur=1.5, broken, other;dur=x';
  expect(timings(header)).toEqual([['prepare', 0.07], ['queue', 1.5]]);
  expect(timings('')).toEqual([]);
});

test('the sentence of an error is found in every family', () => {
  expect(detail('{"detail":"a"}')).toBe('a');
  expect(detail('{"error":{"message":"b"}}')).toBe('b');
  expect(detail('{"error":"c"}')).toBe('c');
  expect(detail('<html>')).toBe('<html>');
});

test('P1 to P8 are all there, whatever was judged', () => {
  const model = (status: string) => ({ proof: { status } }) as never;
  const ids = (rows: { id: string }[]) => rows.map((row) => row.id);
  expect(ids(checklist([], model('pending')))).toEqual(['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P7', 'P8']);
  const missed = [{ id: 'P3', what: 'first', ok: false, value: '2 ×', limit: '1.5 ×' }];
  const rows = checklist(missed, model('degraded'));
  expect(rows.find((row) => row.id === 'P3')?.state).toBe('✕');
  expect(rows.find((row) => row.id === 'P8')?.state).toBe('!');
});
