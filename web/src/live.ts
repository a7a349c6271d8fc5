// The one connection of this page, and who is told that something has changed. Events only write
// into the world; components are drawn anew four times a second at most, canvases by themselves.

import { useLayoutEffect, useState } from 'preact/hooks';
import { askJson, type Passport } from './api';
import { apply, emptyWorld, now, snapshot, type World } from './stream/reducer';
import { type Link, Reader } from './stream/reader';

const REDRAW = 250;

/** What the passport says more than the events do: cases, proof, engine. Asked for after them. */
const LIFE = new Set(['phase', 'stage', 'case', 'check']);
const REFRESH = 1000;

class Live {
  readonly world: World = emptyWorld();
  link: Link = { state: 'opening' };
  /** Other kinds of events, for the pages that know them. */
  readonly other = new Set<(kind: string, data: unknown) => void>();
  private listeners = new Set<() => void>();
  private timer = 0;
  private asking = 0;
  private reader = new Reader({
    snapshot: (passport) => {
      snapshot(this.world, passport, performance.now());
      this.changed(0);
    },
    event: (kind, data) => {
      apply(this.world, kind, data, performance.now());
      for (const listener of this.other) listener(kind, data);
      if (LIFE.has(kind)) this.refresh(kind === 'phase' ? 0 : REFRESH);
      this.changed(kind === 'phase' ? 0 : REDRAW);
    },
    link: (link) => {
      this.link = link;
      this.changed(0);
    },
  });

  start(): void {
    this.reader.start();
  }

  /** After a key was given. */
  again(): void {
    void this.reader.run();
  }

  private refresh(within: number): void {
    if (this.asking && within > 0) return;
    clearTimeout(this.asking);
    this.asking = window.setTimeout(async () => {
      const passport = await askJson<Passport>('/v1/replica').catch(() => null);
      this.asking = 0;
      // Without an answer the stream will break too, and say so.
      if (!passport) return;
      snapshot(this.world, passport, performance.now());
      this.changed(0);
    }, within);
  }

  now(): number {
    const stale = this.link.state !== 'live';
    return stale ? this.world.side.until : now(this.world, performance.now());
  }

  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private changed(within: number): void {
    if (within === 0) {
      clearTimeout(this.timer);
      this.timer = 0;
      this.tell();
    } else if (!this.timer) {
      this.timer = window.setTimeout(() => {
        this.timer = 0;
        this.tell();
      }, within);
    }
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

export const live = new Live();

/** Draws the component anew when something has changed. */
export function useLive(): Live {
  const [, set] = useState(0);
  // Not an effect after the next frame: what changes before that would be drawn by nobody, and a
  // gateway's first answer is its last.
  useLayoutEffect(() => live.listen(() => set((n) => n + 1)), []);
  return live;
}
