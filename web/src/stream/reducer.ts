// What is known of a replica, from a snapshot and the events after it. The same for what happens
// now, for a start played again and for a recorded trace: a picture is a function of this and a time.

import type {
  CaseEvent,
  CheckReport,
  GaugesEvent,
  Passport,
  PhaseEvent,
  RequestsEvent,
  StageReport,
} from '../api';
import { OK, OUTCOMES, pushBounded, RequestRing } from './ring';

export interface Segment {
  phase: string;
  from: number;
}

/** One replica's life, as a band. */
export interface Band {
  name: string;
  segments: Segment[];
}

/** A synthetic run: drawn small, never counted. */
export interface Synthetic {
  at: number;
  ms: number;
  name: string;
}

/** Everything that one picture of *Watch* is drawn from. */
export interface Side {
  title: string;
  sloMs: number;
  /** Requests that may wait; 0: not known. */
  bound: number;
  requests: RequestRing;
  open: [number, number][];
  openTotal: number;
  bands: Band[];
  synthetic: Synthetic[];
  /** From where to where nothing is known: a hatched gap, never a joined line. */
  gaps: [number, number][];
  /** The last moment of which anything is known. */
  until: number;
}

export interface World {
  passport: Passport | null;
  side: Side;
  gauges: GaugesEvent[];
  checks: CheckReport[];
  /** When the newest message came, on the page's clock, and what time it was there. */
  heard: number;
  missed: number;
  sampled: boolean;
}

const GAUGES = 1800;
const SYNTHETIC = 2048;
const SEGMENTS = 200;

export function emptySide(title = ''): Side {
  return {
    title,
    sloMs: 200,
    bound: 0,
    requests: new RequestRing(),
    open: [],
    openTotal: 0,
    bands: [],
    synthetic: [],
    gaps: [],
    until: 0,
  };
}

export function emptyWorld(): World {
  return {
    passport: null,
    side: emptySide(),
    gauges: [],
    checks: [],
    heard: 0,
    missed: 0,
    sampled: false,
  };
}

export function snapshot(world: World, passport: Passport, clock: number): void {
  if (world.passport && world.passport.epoch !== passport.epoch) Object.assign(world, emptyWorld());
  const { side } = world;
  if (world.passport && passport.uptime_ms - side.until > 2000) {
    pushBounded(side.gaps, [side.until, passport.uptime_ms], 50);
  }
  world.passport = passport;
  world.checks = passport.report.models[0]?.checks ?? [];
  side.title = passport.report.model;
  side.sloMs = passport.objectives.slo_p95_ms;
  side.bound = passport.objectives.queue;
  side.bands = [
    {
      name: passport.id.slice(0, 4),
      segments: passport.phases.map((change) => ({ phase: change.phase, from: change.at_ms })),
    },
  ];
  heard(world, passport.uptime_ms, clock);
}

export function apply(world: World, kind: string, data: unknown, clock: number): void {
  switch (kind) {
    case 'phase':
      return phase(world, data as PhaseEvent, clock);
    case 'stage':
      return stage(world, data as StageReport);
    case 'case':
      return round(world, data as CaseEvent, clock);
    case 'check':
      return check(world, data as CheckReport);
    case 'requests':
      return requests(world, data as RequestsEvent, clock);
    case 'gauges':
      pushBounded(world.gauges, data as GaugesEvent, GAUGES);
      return heard(world, (data as GaugesEvent).at_ms, clock);
    case 'lagged':
      world.missed += data as number;
      return;
    default: // Kinds of a later version are none of this page's business.
  }
}

function heard(world: World, at: number, clock: number): void {
  if (at < world.side.until) return;
  world.side.until = at;
  world.heard = clock;
}

/** The moment that it is there now, as far as this page can tell. */
export function now(world: World, clock: number): number {
  return world.heard ? world.side.until + Math.max(0, clock - world.heard) : 0;
}

function phase(world: World, event: PhaseEvent, clock: number): void {
  const band = world.side.bands[0];
  // What the snapshot told is told again by the events that came before it.
  const known = band?.segments.some(
    (s) => s.phase === event.phase && Math.abs(s.from - event.at_ms) < 5,
  );
  if (band && !known && event.at_ms > (band.segments.at(-1)?.from ?? -1)) {
    pushBounded(band.segments, { phase: event.phase, from: event.at_ms }, SEGMENTS);
    const report = world.passport?.report;
    if (report) Object.assign(report, { phase: event.phase, stage: event.stage, detail: event.detail });
  }
  heard(world, event.at_ms, clock);
}

function stage(world: World, event: StageReport): void {
  const spans = world.passport?.report.models[0]?.waterfall;
  const same = (s: StageReport) => s.stage === event.stage && s.start_ms === event.start_ms;
  if (spans && !spans.some(same)) pushBounded(spans, event, 256);
}

function round(world: World, event: CaseEvent, clock: number): void {
  const { synthetic } = world.side;
  const at = event.at_ms - event.ms;
  const known = synthetic.some((s) => s.at === at && s.name === event.name);
  if (!known) pushBounded(synthetic, { at, ms: event.ms, name: event.name }, SYNTHETIC);
  heard(world, event.at_ms, clock);
}

function check(world: World, event: CheckReport): void {
  const at = world.checks.findIndex((c) => c.id === event.id && c.what === event.what);
  if (at < 0) world.checks.push(event);
  else world.checks[at] = event;
}

function requests(world: World, event: RequestsEvent, clock: number): void {
  const { side } = world;
  const breach = (latency: number, outcome: string) => outcome !== 'ok' || latency > side.sloMs;
  const inTime = event.answered.filter(([, , ms, outcome]) => !breach(ms, outcome)).length;
  const breaches = event.answered.length - inTime;
  const share = (listed: number, left: number) => (listed ? 1 + left / listed : 1);
  const weights = [share(inTime, event.left_out.in_time), share(breaches, event.left_out.breaches)];
  for (const [, arrival, latency, outcome] of event.answered) {
    const weight = weights[breach(latency, outcome) ? 1 : 0] ?? 1;
    side.requests.push(arrival, latency, OUTCOMES.indexOf(outcome), weight);
  }
  if (event.left_out.in_time + event.left_out.breaches > 0) world.sampled = true;
  world.missed += event.left_out.missed;
  side.open = event.open.map(([number, arrival]) => [number, arrival]);
  side.openTotal = event.open_total;
  heard(world, event.at_ms, clock);
}

export interface Readout {
  phase: string;
  served: number;
  refused: number;
  over: number;
  waiting: number;
  waitingOver: number;
  p95: number | null;
  n: number;
}

/** The figures beside the picture at time `t`. "Over" counts those who still wait past the line. */
export function readout(side: Side, t: number): Readout {
  const out: Readout = {
    phase: phaseAt(side.bands[0], t),
    served: 0,
    refused: 0,
    over: 0,
    waiting: 0,
    waitingOver: 0,
    p95: null,
    n: 0,
  };
  const last: [number, number][] = [];
  const { requests } = side;
  const wait = (age: number) => {
    out.waiting += 1;
    if (age > side.sloMs) out.waitingOver += 1;
  };
  for (const at of requests) {
    const arrival = requests.arrival[at]!;
    if (arrival > t) continue;
    const latency = requests.latency[at]!;
    const weight = requests.weight[at]!;
    if (arrival + latency > t) wait(t - arrival);
    else if (requests.outcome[at] === OK) {
      out.served += weight;
      if (latency > side.sloMs) out.over += weight;
      if (arrival + latency > t - 1000) last.push([latency, weight]);
    } else if (OUTCOMES[requests.outcome[at]!] === 'refused') out.refused += weight;
  }
  for (const [, arrival] of side.open) if (arrival <= t) wait(t - arrival);
  out.over = Math.round(out.over + out.waitingOver);
  out.served = Math.round(out.served);
  out.refused = Math.round(out.refused);
  out.n = Math.round(last.reduce((sum, [, weight]) => sum + weight, 0));
  out.p95 = quantile(last, 0.95);
  return out;
}

export function phaseAt(band: Band | undefined, t: number): string {
  return band?.segments.findLast((segment) => segment.from <= t)?.phase ?? 'starting';
}

/** Nearest rank over weighted values; null where there is none. */
export function quantile(values: [number, number][], q: number): number | null {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a[0] - b[0]);
  const total = sorted.reduce((sum, [, weight]) => sum + weight, 0);
  let seen = 0;
  for (const [value, weight] of sorted) {
    seen += weight;
    if (seen >= q * total - 1e-9) return value;
  }
  return sorted.at(-1)![0];
}
