// Requests by the second: quantiles, and what a batch held.

import type { GaugesEvent } from '../api';
import { quantile, type Side } from './reducer';
import { OK } from './ring';

export interface Bins {
  /** Seconds since the process began. */
  at: number[];
  p50: (number | null)[];
  p95: (number | null)[];
  p99: (number | null)[];
  rate: number[];
}

/** The last `seconds` up to `now`, by the second in which a request was answered. */
export function bins(side: Side, now: number, seconds: number): Bins {
  const last = Math.floor(now / 1000);
  const first = Math.max(0, last - seconds + 1);
  const all = Array.from({ length: last - first + 1 }, (): [number, number][] => []);
  const { requests } = side;
  for (const at of requests) {
    if (requests.outcome[at] !== OK) continue;
    const second = Math.floor((requests.arrival[at]! + requests.latency[at]!) / 1000) - first;
    all[second]?.push([requests.latency[at]!, requests.weight[at]!]);
  }
  return {
    at: all.map((_, index) => first + index),
    p50: all.map((one) => quantile(one, 0.5)),
    p95: all.map((one) => quantile(one, 0.95)),
    p99: all.map((one) => quantile(one, 0.99)),
    rate: all.map((one) => one.reduce((sum, [, weight]) => sum + weight, 0)),
  };
}

export interface Levels {
  at: number[];
  open: number[];
  queued: number[];
  batch: (number | null)[];
}

/** Gauges as they came; the batch size is what ran between two of them. */
export function levels(gauges: GaugesEvent[], now: number, seconds: number): Levels {
  const kept = gauges.filter((gauge) => gauge.at_ms >= now - seconds * 1000);
  return {
    at: kept.map((gauge) => gauge.at_ms / 1000),
    open: kept.map((gauge) => gauge.open),
    queued: kept.map((gauge) => gauge.queued_rows),
    batch: kept.map((gauge, index) => {
      const before = kept[index - 1];
      const batches = before ? gauge.batches - before.batches : 0;
      return before && batches > 0 ? (gauge.rows - before.rows) / batches : null;
    }),
  };
}
