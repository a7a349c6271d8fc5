// Latency of each request over its arrival, who waits, and the phases of each replica: one picture
// from what is known (`side`), a time and a window. Nothing here keeps a state of its own.

import type { Side } from '../stream/reducer';
import { OK, OUTCOMES } from '../stream/ring';
import { group, type Theme } from '../theme/colours';
import { fill, letter } from './patterns';
import { HIGH, linear, LOW, logY, ticks, moment, time } from './scales';

export interface View {
  from: number;
  to: number;
  /** What is known up to here is drawn. */
  at: number;
}

export interface Box {
  width: number;
  height: number;
}

const LEFT = 58;
const RIGHT = 12;
const TOP = 16;
const WAITING = 46;
const BAND = 20;
const AXIS = 22;

export function height(bands: number): number {
  return TOP + 210 + 18 + WAITING + 10 + Math.max(1, bands) * (BAND + 4) + AXIS;
}

export function paint(ctx: CanvasRenderingContext2D, side: Side, view: View, box: Box, theme: Theme): void {
  const bands = Math.max(1, side.bands.length);
  const bottom = box.height - AXIS - bands * (BAND + 4) - 10 - WAITING - 18;
  const right = box.width - RIGHT;
  const x = (at: number) => linear(at, view.from, view.to, LEFT, right);
  const y = (ms: number) => logY(ms, TOP, bottom);
  ctx.clearRect(0, 0, box.width, box.height);
  ctx.lineWidth = 1;
  const pen: Pen = { ctx, side, view, theme, x, y, top: TOP, bottom, right };
  ground(pen);
  gaps(pen, box.height - AXIS);
  ctx.save();
  ctx.beginPath();
  ctx.rect(LEFT, 0, right - LEFT, bottom + 2);
  ctx.clip();
  synthetic(pen);
  dots(pen);
  ctx.restore();
  const lane = bottom + 18;
  waiting(pen, lane, lane + WAITING);
  side.bands.forEach((_, index) => band(pen, index, lane + WAITING + 10 + index * (BAND + 4)));
  axis(pen, box.height - AXIS);
}

interface Pen {
  ctx: CanvasRenderingContext2D;
  side: Side;
  view: View;
  theme: Theme;
  x: (at: number) => number;
  y: (ms: number) => number;
  top: number;
  bottom: number;
  right: number;
}

function text(pen: Pen, words: string, x: number, y: number, align: CanvasTextAlign = 'right'): void {
  const { ctx, theme } = pen;
  ctx.font = '11px system-ui, "DejaVu Sans", sans-serif';
  ctx.fillStyle = theme.muted;
  ctx.textAlign = align;
  ctx.textBaseline = 'middle';
  ctx.fillText(words, x, y);
}

function ground(pen: Pen): void {
  const { ctx, side, theme, y, top, right } = pen;
  const slo = y(side.sloMs);
  ctx.globalAlpha = 0.09;
  ctx.fillStyle = theme.alarm;
  ctx.fillRect(LEFT, top, right - LEFT, slo - top);
  ctx.globalAlpha = 1;
  for (let ms = LOW; ms <= HIGH; ms *= 10) {
    ctx.globalAlpha = 0.4;
    ctx.fillStyle = theme.edge;
    ctx.fillRect(LEFT, Math.round(y(ms)), right - LEFT, 1);
    ctx.globalAlpha = 1;
    text(pen, time(ms), LEFT - 6, y(ms));
  }
  ctx.strokeStyle = theme.ink;
  ctx.setLineDash([6, 4]);
  ctx.beginPath();
  ctx.moveTo(LEFT, slo);
  ctx.lineTo(right, slo);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.font = '600 11px system-ui, "DejaVu Sans", sans-serif';
  ctx.fillStyle = theme.ink;
  ctx.textAlign = 'right';
  ctx.fillText(`SLO ${time(side.sloMs)}`, right - 2, slo - 8);
}

function gaps(pen: Pen, bottom: number): void {
  const { ctx, side, theme, x, top, right } = pen;
  for (const [from, to] of side.gaps) {
    const [a, b] = [Math.max(LEFT, x(from)), Math.min(right, x(to))];
    if (b <= a) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(a, top, b - a, bottom - top);
    ctx.clip();
    ctx.strokeStyle = theme.edge;
    ctx.beginPath();
    for (let at = a - bottom; at < b; at += 9) {
      ctx.moveTo(at, bottom);
      ctx.lineTo(at + bottom - top, top);
    }
    ctx.stroke();
    ctx.restore();
  }
}

/** Small crosses: the warm-up's own runs. */
function synthetic(pen: Pen): void {
  const { ctx, side, view, theme, x, y } = pen;
  ctx.strokeStyle = theme.muted;
  ctx.beginPath();
  for (const run of side.synthetic) {
    if (run.at + run.ms > view.at || run.at < view.from || run.at > view.to) continue;
    const [cx, cy] = [x(run.at), y(run.ms)];
    ctx.moveTo(cx - 3, cy);
    ctx.lineTo(cx + 3, cy);
    ctx.moveTo(cx, cy - 3);
    ctx.lineTo(cx, cy + 3);
  }
  ctx.stroke();
}

function dots(pen: Pen): void {
  const { ctx, side, view, theme, x, y } = pen;
  const { requests } = side;
  const ready = firstReady(side);
  let first: [number, number] | null = null;
  for (const at of requests) {
    const arrival = requests.arrival[at]!;
    if (arrival > view.at || arrival > view.to) continue;
    const latency = requests.latency[at]!;
    const [cx, open] = [x(arrival), arrival + latency > view.at];
    if (!open && ready !== null && arrival >= ready && requests.outcome[at] === OK) {
      if (!first || arrival < first[0]) first = [arrival, latency];
    }
    if (arrival < view.from) continue;
    if (open) stem(pen, cx, view.at - arrival);
    else answered(ctx, theme, cx, y(latency), OUTCOMES[requests.outcome[at]!]!, latency > side.sloMs);
  }
  for (const [, arrival] of side.open) {
    if (arrival >= view.from && arrival <= view.at) stem(pen, x(arrival), view.at - arrival);
  }
  if (!first || first[0] < view.from) return;
  diamond(ctx, theme, x(first[0]), y(first[1]), first[1] > side.sloMs);
}

function answered(
  ctx: CanvasRenderingContext2D,
  theme: Theme,
  x: number,
  y: number,
  outcome: string,
  over: boolean,
): void {
  if (outcome === 'refused' || outcome === 'failed') {
    ctx.fillStyle = theme.alarm;
    ctx.font = '12px system-ui, "DejaVu Sans", sans-serif';
    ctx.textAlign = 'center';
    ctx.textBaseline = 'middle';
    ctx.fillText('✕', x, TOP - 7);
    return;
  }
  if (outcome !== 'ok') {
    ctx.strokeStyle = theme.muted;
    ctx.strokeRect(x - 2, y - 2, 4, 4);
    return;
  }
  ctx.beginPath();
  if (over) {
    ctx.fillStyle = theme.alarm;
    ctx.moveTo(x, y - 5);
    ctx.lineTo(x + 4.5, y + 3.5);
    ctx.lineTo(x - 4.5, y + 3.5);
  } else {
    ctx.fillStyle = theme.ink;
    ctx.arc(x, y, 2.6, 0, 7);
  }
  ctx.fill();
}

/** A request that waits: hollow, on a stem as high as it has waited. */
function stem(pen: Pen, x: number, age: number): void {
  const { ctx, theme, y, bottom, side } = pen;
  ctx.strokeStyle = age > side.sloMs ? theme.alarm : theme.ink;
  ctx.beginPath();
  ctx.moveTo(x, bottom);
  ctx.lineTo(x, y(age) + 3);
  ctx.stroke();
  ctx.beginPath();
  ctx.arc(x, y(age), 3, 0, 7);
  ctx.stroke();
}

function diamond(ctx: CanvasRenderingContext2D, theme: Theme, x: number, y: number, over: boolean): void {
  ctx.fillStyle = over ? theme.alarm : theme.ground;
  ctx.strokeStyle = theme.ink;
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.moveTo(x, y - 7);
  ctx.lineTo(x + 7, y);
  ctx.lineTo(x, y + 7);
  ctx.lineTo(x - 7, y);
  ctx.closePath();
  ctx.fill();
  ctx.stroke();
  ctx.lineWidth = 1;
}

function firstReady(side: Side): number | null {
  const all = side.bands.flatMap((b) => b.segments.filter((s) => s.phase === 'ready'));
  return all.length ? Math.min(...all.map((s) => s.from)) : null;
}

/** The most that were open at once within each column of the picture. */
export function openCounts(side: Side, view: View, columns: number): Float64Array {
  const { requests } = side;
  const starts = new Float64Array(requests.length + side.open.length);
  const ends = new Float64Array(starts.length);
  let count = 0;
  const add = (from: number, to: number) => {
    if (to < view.from || from > Math.min(view.at, view.to)) return;
    starts[count] = from;
    ends[count] = to;
    count += 1;
  };
  for (const at of requests) add(requests.arrival[at]!, requests.arrival[at]! + requests.latency[at]!);
  for (const [, arrival] of side.open) add(arrival, Number.POSITIVE_INFINITY);
  const [began, ended] = [starts.subarray(0, count).sort(), ends.subarray(0, count).sort()];
  const most = new Float64Array(columns);
  const width = (view.to - view.from) / columns;
  let [level, b, e] = [0, 0, 0];
  for (let column = 0; column < columns; column += 1) {
    const until = view.from + (column + 1) * width;
    let high = level;
    for (;;) {
      const next = began[b] ?? Number.POSITIVE_INFINITY;
      const leaves = ended[e] ?? Number.POSITIVE_INFINITY;
      if (Math.min(next, leaves) >= until) break;
      // Who leaves at the moment that another comes makes room for it.
      if (leaves <= next) {
        level -= 1;
        e += 1;
      } else {
        level += 1;
        b += 1;
      }
      high = Math.max(high, level);
    }
    most[column] = high;
  }
  return most;
}

function waiting(pen: Pen, top: number, bottom: number): void {
  const { ctx, side, view, theme, x, right } = pen;
  const columns = Math.max(1, Math.floor((right - LEFT) / 2));
  const counts = openCounts(side, view, columns);
  const end = Math.floor(((Math.min(view.at, view.to) - view.from) / (view.to - view.from)) * columns);
  let most = 0;
  for (let n = 0; n <= Math.min(end, columns - 1); n += 1) most = Math.max(most, counts[n]!);
  text(pen, 'waiting', LEFT - 6, top + 8);
  text(pen, `most ${most}`, LEFT - 6, top + 24);
  ctx.fillStyle = theme.edge;
  ctx.globalAlpha = 0.4;
  ctx.fillRect(LEFT, bottom, right - LEFT, 1);
  ctx.globalAlpha = 1;
  if (end < 0) return;
  ctx.strokeStyle = theme.ink;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.moveTo(LEFT, bottom);
  for (let n = 0; n <= Math.min(end, columns - 1); n += 1) {
    const level = bottom - (counts[n]! / Math.max(1, most)) * (bottom - top - 2);
    const at = x(view.from + (n / columns) * (view.to - view.from));
    ctx.lineTo(at, level);
    ctx.lineTo(at + 2, level);
  }
  ctx.stroke();
  ctx.lineWidth = 1;
}

function band(pen: Pen, index: number, top: number): void {
  const { ctx, side, view, theme, x, right } = pen;
  const { name, segments } = side.bands[index]!;
  text(pen, name.length > 8 ? `${name.slice(0, 7)}…` : name, LEFT - 6, top + BAND / 2);
  segments.forEach((segment, n) => {
    const to = Math.min(segments[n + 1]?.from ?? view.at, view.at);
    if (segment.from > view.at || to < view.from) return;
    const a = Math.max(LEFT, x(segment.from));
    const b = Math.min(right, Math.max(x(to), a + 1));
    if (a > right) return;
    const which = group(segment.phase);
    ctx.save();
    ctx.translate(a, top);
    ctx.fillStyle = fill(ctx, theme, which);
    ctx.fillRect(0, 0, b - a, BAND);
    ctx.restore();
    ctx.fillStyle = theme.panel;
    ctx.fillRect(b - 1, top, 1, BAND);
    if (b - a >= 16) letter(ctx, theme, which, a + 9, top + BAND / 2, 12);
    if (b - a >= 90) {
      ctx.font = '11px system-ui, "DejaVu Sans", sans-serif';
      const width = ctx.measureText(segment.phase).width;
      ctx.fillStyle = theme.fill[which];
      ctx.fillRect(a + 17, top + 2, width + 6, BAND - 4);
      ctx.fillStyle = theme.on[which];
      ctx.textAlign = 'left';
      ctx.textBaseline = 'middle';
      ctx.fillText(segment.phase, a + 20, top + BAND / 2);
    }
  });
}

function axis(pen: Pen, top: number): void {
  const { ctx, view, theme, x, right } = pen;
  const most = Math.max(2, Math.floor((right - LEFT) / 80));
  for (const tick of ticks(view.from, view.to, most)) {
    ctx.fillStyle = theme.edge;
    ctx.fillRect(Math.round(x(tick)), top, 1, 4);
    const label = x(tick) > right - 20 ? 'right' : 'center';
    text(pen, moment(tick), x(tick), top + 13, label);
  }
  if (view.at >= view.from && view.at <= view.to) {
    ctx.fillStyle = theme.ink;
    ctx.fillRect(Math.round(x(view.at)), TOP, 1, top - TOP);
  }
}
