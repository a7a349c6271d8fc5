// Playing something that is already known: a time that moves at a speed between two ends.

export const SPEEDS = [0.01, 0.1, 1, 4, 16];

/** What a picture that follows the clock shows. */
export const WINDOW = 60_000;

/** The last minute, with a little room on the right; the first seconds have room to grow into. */
export function following(now: number): { from: number; to: number } {
  const to = Math.max(5000, now + 0.02 * Math.min(now, WINDOW));
  return { from: Math.max(0, now - WINDOW), to };
}

export interface Playback {
  from: number;
  to: number;
  at: number;
  speed: number;
  playing: boolean;
}

/** The speed at which a stretch lasts about twenty seconds. */
export function fitting(length: number): number {
  const wished = Math.max(1, length) / 20_000;
  const distance = (speed: number) => Math.abs(Math.log(speed / wished));
  return SPEEDS.reduce((best, speed) => (distance(speed) < distance(best) ? speed : best));
}

/** After `ms` of the page's own time; stops at the end. */
export function advance(play: Playback, ms: number): Playback {
  if (!play.playing) return play;
  const at = Math.min(play.to, play.at + ms * play.speed);
  return { ...play, at, playing: at < play.to };
}

export function seek(play: Playback, at: number): Playback {
  return { ...play, at: Math.min(play.to, Math.max(play.from, at)) };
}
