// From values to places. Pure: the same in a test as on a canvas.

/** Decades of the latency axis: fixed, so that two sides can be compared by eye. */
export const LOW = 1;
export const HIGH = 100_000;

/** Log of milliseconds to pixels, large values on top; what is outside is kept at the edge. */
export function logY(ms: number, top: number, bottom: number, low = LOW, high = HIGH): number {
  const value = Math.min(high, Math.max(low, ms || low));
  const share = Math.log(value / low) / Math.log(high / low);
  return bottom - share * (bottom - top);
}

export function linear(value: number, from: number, to: number, left: number, right: number): number {
  if (to <= from) return left;
  return left + ((value - from) / (to - from)) * (right - left);
}

/** Round steps of 1, 2 or 5: at most `most` of them between two ends. */
export function ticks(from: number, to: number, most: number): number[] {
  const length = to - from;
  if (!(length > 0) || most < 1) return [];
  const rough = length / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough - 1e-12) ?? rough;
  const out: number[] = [];
  for (let n = Math.ceil(from / step); n * step <= to + step * 1e-9; n += 1) out.push(n * step);
  return out;
}

/** 1, 2 and 5 of each decade that touches the range. */
export function logTicks(low: number, high: number): number[] {
  const out: number[] = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
    for (const m of [1, 2, 5]) {
      const tick = m * 10 ** power;
      if (tick >= low * 0.999 && tick <= high * 1.001) out.push(tick);
    }
  }
  return out;
}

/** Milliseconds below a second, seconds above, three digits; two larger units where those do not do. */
export function time(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  const sign = ms < 0 ? '−' : '';
  const value = Math.abs(ms);
  if (value < 999.5) return `${sign}${digits(value)} ms`;
  if (value < 999_500) return `${sign}${digits(value / 1000)} s`;
  return sign + long(Math.round(value / 1000));
}

function long(seconds: number): string {
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours >= 24) return pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
  return hours ? pair(hours, 'h', minutes % 60, 'min') : pair(minutes, 'min', seconds % 60, 's');
}

function pair(large: number, unit: string, small: number, smaller: string): string {
  return small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`;
}

/** A moment on an axis: as [`time`] has it, and hours:minutes:seconds where neighbours would read the same. */
export function moment(ms: number): string {
  if (!(ms >= 999_500)) return time(ms);
  const seconds = Math.floor(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const part = trim(((ms % 1000) / 1000).toFixed(3)).slice(1);
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${part}`;
}

function digits(value: number): string {
  if (value === 0) return '0';
  if (value < 10) return trim(value.toFixed(2));
  if (value < 99.95) return trim(value.toFixed(1));
  return Math.round(value).toString();
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : digits(value)} ${units[unit]}`;
}

/** The place of a value beside its limit, both as numbers in texts like "1.16 × steady". */
export function leadingNumber(text: string): number | null {
  const found = /^\s*(-?\d+(?:\.\d+)?)\s*(%|×|ms)/.exec(text);
  return found ? Number(found[1]) : null;
}
