// What a gateway says of its services and why, asked for every two seconds.

import { useEffect, useState } from 'preact/hooks';
import { ask, Refused } from '../api';
import type { Rollout } from './rollout';

/** `GET /v1/services` of a gateway, as far as this page reads it. */
export interface Service {
  name: string;
  status: string;
  detail: string;
  min: number;
  max: number;
  wanted: number;
  reason: string;
  spares: number;
  held: number;
  rate_rps: number;
  capacity_rps?: number;
  replicas: Replica[];
  rollout?: Rollout;
}

export interface Replica {
  id: string;
  phase: string;
  detail: string;
  role: string;
  serving: boolean;
  in_flight: number;
  concurrency: number;
  latency_ms?: number;
}

/** One element of `GET /v1/decisions`. */
export interface Decision {
  sequence: number;
  at_ms: number;
  service: string;
  action: string;
  replica?: string;
  reason: string;
}

const EVERY = 2000;
type Answer =
  | { kind: 'asking' }
  | { kind: 'none' }
  | { kind: 'problem'; why: Refused }
  | { kind: 'fleet'; services: Service[]; decisions: Decision[] };

export function useFleet(): [Answer, () => void] {
  const [answer, set] = useState<Answer>({ kind: 'asking' });
  const [round, again] = useState(0);
  useEffect(() => {
    let timer = 0;
    let gone = false;
    const look = async () => {
      const next = await fleet();
      if (gone) return;
      set(next);
      if (next.kind === 'fleet') timer = window.setTimeout(look, EVERY);
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [round]);
  return [answer, () => again((n) => n + 1)];
}

async function fleet(): Promise<Answer> {
  try {
    const [services, decisions] = await Promise.all([
      ask('/v1/services').then((answer) => answer.json() as Promise<Service[]>),
      ask('/v1/decisions').then((answer) => answer.json() as Promise<Decision[]>),
    ]);
    return { kind: 'fleet', services, decisions };
  } catch (error) {
    const why = error instanceof Refused ? error : new Refused('GET /v1/services', 0, String(error));
    return why.status === 404 ? { kind: 'none' } : { kind: 'problem', why };
  }
}

