// What the pictures are drawn from: typed arrays of a fixed size. What falls out is counted.

import type { Outcome } from '../api';

export const OUTCOMES: Outcome[] = ['ok', 'refused', 'bad', 'failed', 'gone'];
export const OK = 0;

export class RequestRing {
  readonly arrival: Float64Array;
  readonly latency: Float64Array;
  readonly outcome: Uint8Array;
  /** How many requests of its message each one stands for. */
  readonly weight: Float32Array;
  readonly replica: Uint16Array;
  length = 0;
  private head = 0;
  fellOut = 0;

  constructor(readonly capacity = 8192) {
    this.arrival = new Float64Array(capacity);
    this.latency = new Float64Array(capacity);
    this.outcome = new Uint8Array(capacity);
    this.weight = new Float32Array(capacity);
    this.replica = new Uint16Array(capacity);
  }

  push(arrival: number, latency: number, outcome: number, weight = 1, replica = 0): void {
    const at = this.head;
    this.arrival[at] = arrival;
    this.latency[at] = latency;
    this.outcome[at] = outcome;
    this.weight[at] = weight;
    this.replica[at] = replica;
    this.head = (at + 1) % this.capacity;
    if (this.length < this.capacity) this.length += 1;
    else this.fellOut += 1;
  }

  /** Places, oldest first. */
  *[Symbol.iterator](): Generator<number> {
    const start = (this.head - this.length + this.capacity) % this.capacity;
    for (let n = 0; n < this.length; n += 1) yield (start + n) % this.capacity;
  }

  clear(): void {
    this.length = 0;
    this.head = 0;
    this.fellOut = 0;
  }
}

/** The newest of a list that must not grow. */
export function pushBounded<T>(list: T[], item: T, most: number): void {
  list.push(item);
  if (list.length > most) list.splice(0, list.length - most);
}
