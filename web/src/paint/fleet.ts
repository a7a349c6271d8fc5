// A cell a replica, in an order that does not change: nothing jumps.

import { group, type Theme } from '../theme/colours';
import { fill, letter } from './patterns';

export interface Cell {
  id: string;
  phase: string;
  role: string;
}

export interface Layout {
  cell: number;
  columns: number;
  rows: number;
  height: number;
}

/** 18 px with a letter up to 200, 8 px beyond. */
export function layout(count: number, width: number): Layout {
  const cell = count <= 200 ? 18 : 8;
  const columns = Math.max(1, Math.floor(width / (cell + 2)));
  const rows = Math.ceil(count / columns);
  return { cell, columns, rows, height: rows * (cell + 2) };
}

export function paint(ctx: CanvasRenderingContext2D, cells: Cell[], width: number, theme: Theme): void {
  const { cell, columns, height } = layout(cells.length, width);
  ctx.clearRect(0, 0, width, height);
  cells.forEach((one, index) => draw(ctx, one, index, cell, columns, theme));
}

/** Only those that have changed. */
export function paintSome(
  ctx: CanvasRenderingContext2D,
  cells: Cell[],
  changed: Iterable<number>,
  width: number,
  theme: Theme,
): void {
  const { cell, columns } = layout(cells.length, width);
  for (const index of changed) {
    const one = cells[index];
    if (one) draw(ctx, one, index, cell, columns, theme);
  }
}

function draw(
  ctx: CanvasRenderingContext2D,
  one: Cell,
  index: number,
  cell: number,
  columns: number,
  theme: Theme,
): void {
  const x = (index % columns) * (cell + 2);
  const y = Math.floor(index / columns) * (cell + 2);
  const which = group(one.phase);
  ctx.fillStyle = cell > 10 ? fill(ctx, theme, which) : theme.fill[which];
  ctx.fillRect(x, y, cell, cell);
  if (cell > 10) letter(ctx, theme, which, x + cell / 2, y + cell / 2, 11);
  else if (one.role === 'spare') {
    // Too small for a letter: a notch says "spare".
    ctx.fillStyle = theme.panel;
    ctx.fillRect(x + cell - 3, y, 3, 3);
  }
}

export function at(cells: Cell[], width: number, x: number, y: number): Cell | undefined {
  const { cell, columns } = layout(cells.length, width);
  const column = Math.floor(x / (cell + 2));
  if (column >= columns) return undefined;
  return cells[Math.floor(y / (cell + 2)) * columns + column];
}
