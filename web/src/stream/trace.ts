// A recorded trace: one JSON object a line. The first says what it is, the rest are events of one
// or two sides on one clock. `preheat simulate` writes it, *Watch* plays it.
//
//   {"trace":1,"title":"…","simulated":true,"slo_ms":300,"until_ms":69000,"sides":["without","with"]}
//   {"kind":"phase","side":0,"at_ms":0,"replica":"new","phase":"fetching"}
//   {"kind":"request","side":0,"at_ms":12000.5,"ms":82,"outcome":"ok","replica":"new"}
//   {"kind":"warmup","side":1,"at_ms":65000,"ms":900,"name":"1x128","replica":"new"}
//
// `at_ms` of a request is its arrival, `ms` its latency. Other kinds are left for later versions.

import type { Outcome } from '../api';
import { OUTCOMES } from './ring';
import { type Band, emptySide, type Side } from './reducer';

export interface Trace {
  title: string;
  simulated: boolean;
  until: number;
  sides: Side[];
}

interface Line {
  kind?: string;
  side?: number;
  at_ms?: number;
  ms?: number;
  replica?: string;
  phase?: string;
  outcome?: Outcome;
  name?: string;
}

const LINES = 100_000;

/** Throws a sentence that names the line. */
export function readTrace(text: string): Trace {
  const lines = text.split('\n').filter((line) => line.trim());
  if (lines.length > LINES) throw new Error(`a trace has at most ${LINES} lines`);
  const head = json(lines[0] ?? '', 1);
  if (head.trace !== 1) throw new Error('line 1: not a trace: it begins with {"trace":1,…}');
  const names = Array.isArray(head.sides) ? head.sides.slice(0, 2).map(String) : ['recorded'];
  const sides = names.map((name) => ({ ...emptySide(name), sloMs: Number(head.slo_ms) || 200 }));
  lines.slice(1).forEach((line, index) => event(sides, json(line, index + 2), index + 2));
  const until = Number(head.until_ms) || Math.max(...sides.map((side) => side.until));
  for (const side of sides) side.until = until;
  const title = String(head.title ?? 'trace');
  return { title, simulated: head.simulated === true, until, sides };
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

function event(sides: Side[], line: Line, number: number): void {
  const side = sides[line.side ?? 0];
  const at = line.at_ms;
  if (!side) throw new Error(`line ${number}: there is no side ${line.side}`);
  if (typeof at !== 'number' || !Number.isFinite(at)) throw new Error(`line ${number}: no at_ms`);
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

function bandOf(side: Side, name: string): Band {
  const known = side.bands.find((band) => band.name === name);
  if (known) return known;
  if (side.bands.length >= 32) throw new Error('a side has at most 32 replicas');
  const band: Band = { name, segments: [] };
  side.bands.push(band);
  return band;
}
