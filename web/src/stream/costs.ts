// The stages of a cold start as a person counts them, and what each costs at a rate.

import stages from '../costs.gen.json';
import type { StageReport } from '../api';

export interface StageCost {
  stage: string;
  ours: string[];
  /** Seconds from and to: rules of thumb, not measured. */
  typical: number[];
  about: string;
  cure: string;
}

export const STAGES: StageCost[] = stages;

/** The row that a measured stage belongs to. */
export function rowOf(stage: string): StageCost | undefined {
  return STAGES.find((row) => row.ours.some((name) => stage.startsWith(name)));
}

export interface Cost {
  row: StageCost;
  /** All measured stages of the row, those side by side counted once; null: none was seen. */
  ms: number | null;
}

export function costs(measured: StageReport[]): Cost[] {
  return STAGES.map((row) => {
    const own = measured.filter((stage) => rowOf(stage.stage) === row);
    return { row, ms: own.length ? covered(own) : null };
  });
}

function covered(stages: StageReport[]): number {
  let [sum, until] = [0, 0];
  for (const { start_ms, ms } of [...stages].sort((a, b) => a.start_ms - b.start_ms)) {
    sum += Math.max(0, start_ms + ms - Math.max(until, start_ms));
    until = Math.max(until, start_ms + ms);
  }
  return sum;
}

/** Of a start that nobody was spared: who came meanwhile, and what the replica did not serve for. */
export function price(ms: number, arrivals: number, starts: number): { requests: number; hours: number } {
  const DAYS = 30;
  return { requests: (ms / 1000) * arrivals, hours: (ms / 3_600_000) * starts * DAYS };
}
