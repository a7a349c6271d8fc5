// Where the time of a start went: what is on the critical path, and what nobody accounts for.

import type { StageReport } from '../api';

export interface Accounts {
  /** From exec to ready, or to now. */
  total: number;
  /** Parts of stages that, shortened, would have shortened the start: by index of the stage. */
  critical: Map<number, [number, number][]>;
  /** In no stage at all. */
  unaccounted: number;
}

export const FIRST_REQUEST = 'first_request';

/** Backwards from the end: whoever was last to end held everybody up. */
export function account(stages: StageReport[], total: number): Accounts {
  const critical = new Map<number, [number, number][]>();
  let unaccounted = 0;
  let cursor = total;
  while (cursor > 1e-6) {
    let best = -1;
    let reach = 0;
    stages.forEach((stage, index) => {
      if (stage.stage === FIRST_REQUEST || stage.start_ms >= cursor - 1e-9) return;
      const end = Math.min(cursor, stage.start_ms + stage.ms);
      const known = best >= 0 ? stages[best]! : null;
      // The one that ended last; of several, the one that began first.
      if (end > reach + 1e-9 || (known && end > reach - 1e-9 && stage.start_ms < known.start_ms)) {
        best = index;
        reach = end;
      }
    });
    if (best < 0) {
      unaccounted += cursor;
      break;
    }
    unaccounted += cursor - reach;
    const start = stages[best]!.start_ms;
    critical.set(best, [...(critical.get(best) ?? []), [start, reach]]);
    cursor = start;
  }
  return { total, critical, unaccounted };
}
