// A phase is a colour and a pattern: whoever does not see the one sees the other.

import { type Group, LETTER, type Theme } from '../theme/colours';

type Fill = CanvasPattern | string;

const known = new WeakMap<Theme, Map<Group, Fill>>();

export function fill(ctx: CanvasRenderingContext2D, theme: Theme, group: Group): Fill {
  const of = known.get(theme) ?? new Map<Group, Fill>();
  known.set(theme, of);
  const found = of.get(group);
  if (found) return found;
  const tile = document.createElement('canvas');
  tile.width = tile.height = 8;
  const pen = tile.getContext('2d')!;
  pen.fillStyle = theme.fill[group];
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = pen.fillStyle = theme.on[group];
  pen.globalAlpha = 0.35;
  draw(pen, group);
  const made = ctx.createPattern(tile, 'repeat') ?? theme.fill[group];
  of.set(group, made);
  return made;
}

function draw(pen: CanvasRenderingContext2D, group: Group): void {
  const line = (...points: [number, number, number, number][]) => {
    pen.lineWidth = 1.5;
    for (const [x, y, u, v] of points) {
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(u, v);
      pen.stroke();
    }
  };
  if (group === 'cold') pen.fillRect(3, 3, 2, 2);
  else if (group === 'loading') line([4, 0, 4, 8]);
  else if (group === 'warming') line([-2, 10, 10, -2], [-2, 2, 2, -2], [6, 10, 10, 6]);
  else if (group === 'draining') line([0, 4, 8, 4]);
  else if (group === 'failed') line([0, 0, 8, 8], [8, 0, 0, 8]);
}

/** The letter of a phase where a box is wide enough for it. */
export function letter(
  ctx: CanvasRenderingContext2D,
  theme: Theme,
  group: Group,
  x: number,
  y: number,
  size: number,
): void {
  ctx.fillStyle = theme.fill[group];
  ctx.fillRect(x - size * 0.5, y - size * 0.55, size, size * 1.1);
  ctx.fillStyle = theme.on[group];
  ctx.font = `700 ${size}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  ctx.fillText(LETTER[group], x, y + 0.5);
}
