// A rollout as a gateway tells it, its steps, and what green has to pass.

import { time } from '../paint/scales';

/** `rollout` of a service, as far as this page reads it. Blue is what it goes from, green to what. */
export interface Rollout {
  from: string;
  from_source: string;
  to: string;
  to_source: string;
  stage: string;
  detail: string;
  size: number;
  proven: number;
  /** Time in this stage, and at most. */
  stage_ms: number;
  limit_ms?: number;
  /** Synthetic load on green, or its users. */
  seen?: Seen;
  limits?: Limits;
}

export interface Seen {
  requests: number;
  errors: number;
  p95_ms: number;
  blue_p95_ms: number;
}

export interface Limits {
  slo_p95_ms: number;
  max_ratio: number;
  slack_ms: number;
  max_errors: number;
}

export const STEPS: { name: string; stage: string | null }[] = [
  { name: 'start', stage: null },
  { name: 'prove', stage: 'proving' },
  { name: 'load test', stage: 'loading' },
  { name: 'switch', stage: 'switching' },
  { name: 'watch', stage: 'watching' },
  { name: 'keep blue', stage: 'keeping' },
];

/** The step that a stage is; past the last one once all are done, -1 on the way back. */
export function stepOf(stage: string): number {
  return stage === 'promoted' ? STEPS.length : STEPS.findIndex((step) => step.stage === stage);
}

/** The step at which a green was sent away, or back. */
export function brokenAt(rollout: Rollout): number {
  if (!['discarding', 'returning', 'refused', 'rolled_back'].includes(rollout.stage)) return -1;
  if (hadUsers(rollout)) return stepOf('watching');
  return stepOf(rollout.seen?.requests ? 'loading' : 'proving');
}

export function isOver({ stage }: Rollout): boolean {
  return ['promoted', 'rolled_back', 'refused'].includes(stage);
}

export function serving({ stage }: Rollout): 'blue' | 'green' {
  return ['switching', 'watching', 'keeping', 'promoted'].includes(stage) ? 'green' : 'blue';
}

/** Green had users' requests: it serves, or it did before it was sent back. */
export function hadUsers(rollout: Rollout): boolean {
  const { stage, detail } = rollout;
  const wasSentBack = stage === 'discarding' && detail.includes('green had served');
  return serving(rollout) === 'green' || ['returning', 'rolled_back'].includes(stage) || wasSentBack;
}

/** What green's p95 must stay under, beside a blue like that. */
export function limit(limits: Limits, blue: number): number {
  if (!blue) return limits.slo_p95_ms;
  return Math.min(limits.slo_p95_ms, Math.max(blue * limits.max_ratio, blue + limits.slack_ms));
}

export interface Gate {
  name: string;
  /** null: not known yet. */
  ok: boolean | null;
  value: string;
  limit: string;
}

export function gates(rollout: Rollout): Gate[] {
  const { limits, proven, size } = rollout;
  const seen = rollout.seen?.requests ? rollout.seen : null;
  const users = hadUsers(rollout);
  const back = stepOf(rollout.stage) < 0;
  const most = limits && seen ? limit(limits, seen.blue_p95_ms) : null;
  const errors = users ? (limits?.max_errors ?? 0) : 0;
  return [
    {
      name: 'all of green is proven',
      // Replicas of a green that goes are not counted as proven any more; users met none that was not.
      ok: proven >= size || seen || users ? true : back ? false : null,
      value: String(users ? Math.max(proven, size) : proven),
      limit: `${size} replicas`,
    },
    {
      name: users ? 'p95 of its users’ requests' : 'p95 under synthetic load',
      ok: seen && most !== null ? seen.p95_ms <= most : null,
      value: seen ? time(seen.p95_ms) : '–',
      limit: most === null ? (limits ? `${time(limits.slo_p95_ms)}, ${limits.max_ratio} × blue` : '–') : time(most),
    },
    {
      name: users ? 'failed requests of its users' : 'failed requests of the load',
      ok: seen ? seen.errors <= errors * seen.requests : null,
      value: seen ? `${seen.errors} in ${seen.requests}` : '–',
      limit: errors ? `${errors * 100} %` : 'none',
    },
  ];
}
