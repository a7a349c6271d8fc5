// A recorded trace: one JSON object a line. The first says what it is, the rest are events of one
// or two sides on one clock. `preheat simulate` writes it, *Watch* plays it.
//
//   {"trace":1,"title":"…","simulated":true,"slo_ms":300,"until_ms":69000,"sides":["without","with"]}
//   {"kind":"phase","side":0,"at_ms":0,"replica":"new","phase":"fetching"}
//   {"kind":"request","side":0,"at_ms":12000.5,"ms":82,"outcome":"ok","replica":"new"}
//   {"kind":"warmup","side":1,"at_ms":65000,"ms":900,"name":"1x128","replica":"new"}
//   {"kind":"arrivals","at_ms":12000,"gaps":[20,7]}
//   {"kind":"answers","side":0,"ms":[82,[0,"refused"],null]}
//
// `at_ms` of a request is its arrival, `ms` its latency. Sides that share their arrivals have them
// once, and what became of each; `null` was never answered. Other kinds are left for later versions.

import type { Outcome } from '../api';
import { OUTCOMES, pushBounded } from './ring';
import { type Band, emptySide, type Side } from './reducer';

export interface Trace {
  title: string;
  about: string;
  simulated: boolean;
  from: number;
  until: number;
  sides: Side[];
}

interface Line {
  kind?: string;
  side?: number;
  at_ms?: number;
  ms?: unknown;
  replica?: string;
  phase?: string;
  outcome?: Outcome;
  name?: string;
  gaps?: unknown;
}

const LINES = 100_000;
const OPEN = 1000;

/** Throws a sentence that names the line. */
export function readTrace(text: string): Trace {
  const lines = text.split('\n').filter((line) => line.trim());
  if (lines.length > LINES) throw new Error(`a trace has at most ${LINES} lines`);
  const head = json(lines[0] ?? '', 1);
  if (head.trace !== 1) throw new Error('line 1: not a trace: it begins with {"trace":1,…}');
  const names = Array.isArray(head.sides) ? head.sides.slice(0, 2).map(String) : ['recorded'];
  const sides = names.map((name) => ({ ...emptySide(name), sloMs: Number(head.slo_ms) || 200 }));
  const reading: Reading = { sides, arrivals: [] };
  lines.slice(1).forEach((line, index) => event(reading, json(line, index + 2), index + 2));
  const until = Number(head.until_ms) || Math.max(...sides.map((side) => side.until));
  for (const side of sides) side.until = until;
  const from = Math.min(until, Math.max(0, Number(head.from_ms) || 0));
  const title = String(head.title ?? 'trace');
  const about = String(head.about ?? '');
  return { title, about, simulated: head.simulated === true, from, until, sides };
}

function json(line: string, number: number): Record<string, unknown> {
  try {
    const value = JSON.parse(line);
    if (value && typeof value === 'object') return value;
  } catch {
    // Said below.
  }
  throw new Error(`line ${number}: not a JSON object`);
}

interface Reading {
  sides: Side[];
  arrivals: number[];
}

function event(reading: Reading, line: Line, number: number): void {
  const side = reading.sides[line.side ?? 0];
  const at = line.at_ms;
  if (line.kind === 'answers' && side) return answers(side, reading.arrivals, line.ms, number);
  if (!side) throw new Error(`line ${number}: there is no side ${line.side}`);
  if (typeof at !== 'number' || !Number.isFinite(at)) throw new Error(`line ${number}: no at_ms`);
  if (line.kind === 'arrivals') {
    reading.arrivals = arrivals(at, line.gaps, number);
    return;
  }
  const band = bandOf(side, String(line.replica ?? 'replica'));
  const ms = Number(line.ms) || 0;
  if (line.kind === 'phase') band.segments.push({ phase: String(line.phase), from: at });
  else if (line.kind === 'warmup') side.synthetic.push({ at, ms, name: String(line.name ?? '') });
  else if (line.kind === 'request') {
    const outcome = Math.max(0, OUTCOMES.indexOf(line.outcome ?? 'ok'));
    side.requests.push(at, ms, outcome, 1, side.bands.indexOf(band));
  }
  side.until = Math.max(side.until, at + ms);
}

function arrivals(first: number, gaps: unknown, number: number): number[] {
  if (!Array.isArray(gaps) || gaps.length >= LINES) throw new Error(`line ${number}: no list of gaps`);
  const all = [first];
  for (const gap of gaps) all.push(all.at(-1)! + (Number(gap) || 0));
  return all;
}

function answers(side: Side, arrived: number[], list: unknown, number: number): void {
  if (!Array.isArray(list) || list.length !== arrived.length) {
    throw new Error(`line ${number}: not one answer for each arrival`);
  }
  list.forEach((answer, index) => {
    const at = arrived[index]!;
    if (answer === null) {
      pushBounded(side.open, [index, at], OPEN);
      return;
    }
    const [ms, outcome] = Array.isArray(answer) ? answer : [answer, 'ok'];
    side.requests.push(at, Number(ms) || 0, Math.max(0, OUTCOMES.indexOf(outcome)));
  });
}

function bandOf(side: Side, name: string): Band {
  const known = side.bands.find((band) => band.name === name);
  if (known) return known;
  if (side.bands.length >= 32) throw new Error('a side has at most 32 replicas');
  const band: Band = { name, segments: [] };
  side.bands.push(band);
  return band;
}
