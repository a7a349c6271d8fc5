// Lines over time by uPlot, loaded when the first one is shown. Where it cannot be loaded the
// figures stay: every chart has its table.

import { useEffect, useRef, useState } from 'preact/hooks';
import type uPlot from 'uplot';
import { logTicks, moment } from '../paint/scales';
import { onTheme, theme, type Theme } from '../theme/colours';

export interface Line {
  name: string;
  width: number;
  dash?: number[];
  format: (value: number) => string;
}

interface Props {
  label: string;
  lines: Line[];
  data: (number | null)[][];
  height: number;
  log?: boolean;
  /** A line across, dashed. */
  limit?: { at: number; name: string };
}

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [problem, setProblem] = useState('');
  const [round, again] = useState(0);
  useEffect(() => onTheme(() => again((n) => n + 1)), []);
  useEffect(() => {
    let gone = false;
    let size: ResizeObserver | null = null;
    const make = async () => {
      const [{ default: Plot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]);
      const element = box.current;
      if (gone || !element) return;
      const width = Math.max(200, element.clientWidth);
      chart.current = new Plot(options(props, width, theme()), props.data as uPlot.AlignedData, element);
      size = new ResizeObserver(() => {
        const next = Math.max(200, element.clientWidth);
        if (next !== chart.current?.width) chart.current?.setSize({ width: next, height: props.height });
      });
      size.observe(element);
    };
    make().catch((error) => setProblem(String(error)));
    return () => {
      gone = true;
      size?.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [round]);
  useEffect(() => chart.current?.setData(props.data as uPlot.AlignedData), [props.data]);
  return (
    <>
      <div ref={box} class="chart picture" role="img" aria-label={props.label} />
      <ul class="legend">
        {props.lines.map(({ name, width, dash }) => (
          <li key={name}>
            <svg width="30" height="10" aria-hidden="true">
              <line x1="0" x2="30" y1="5" y2="5" stroke="currentColor" stroke-width={width} stroke-dasharray={dash?.join(' ')} />
            </svg>
            {name}
          </li>
        ))}
      </ul>
      {problem && <p role="alert">The chart could not be drawn ({problem}); the table shows the same.</p>}
    </>
  );
}

function options(props: Props, width: number, colours: Theme): uPlot.Options {
  const axis = {
    stroke: colours.muted,
    grid: { stroke: `${colours.edge}55`, width: 1 },
    ticks: { stroke: colours.edge, width: 1 },
    font: '11px system-ui, "DejaVu Sans", sans-serif',
  };
  const first = props.lines[0]!;
  return {
    width,
    height: props.height,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      // A single moment, or none, is no reason to show hours around it.
      x: { time: false, range: (_u, min, max) => (min < max ? [min, max] : [Math.max(0, (min ?? 1) - 1), (min ?? 0) + 1]) },
      y: props.log
        ? { distr: 3, range: (_u, min, max) => logRange(min, max, props.limit?.at) }
        : { range: (_u, _min, max) => [0, Math.max(1, max * 1.1)] },
    },
    axes: [
      { ...axis, values: (_u, at) => at.map((second) => moment(second * 1000)) },
      {
        ...axis,
        size: 64,
        ...(props.log ? { splits: (u: uPlot) => decades(u.scales.y!.min!, u.scales.y!.max!) } : {}),
        values: (_u, at) => at.map((value) => (value === null ? '' : first.format(value))),
      },
    ],
    series: [
      {},
      ...props.lines.map(({ name, width: thick, dash }) => ({
        label: name,
        stroke: colours.ink,
        width: thick,
        dash,
        points: { show: true, size: 4 },
      })),
    ],
    hooks: { draw: [(plot) => limit(plot, props.limit, colours)] },
  };
}

function decades(min: number, max: number): number[] {
  return logTicks(min, max).filter((tick) => /^1e/.test(tick.toExponential()));
}

/** Whole decades around what there is, and around the limit. */
export function logRange(min: number | null, max: number | null, limit = 1): [number, number] {
  const low = Math.min(min ?? limit, limit);
  const high = Math.max(max ?? limit, limit);
  const down = 10 ** Math.floor(Math.log10(Math.max(low, 1e-3)));
  const up = 10 ** Math.ceil(Math.log10(high * 1.001));
  return [down, Math.max(up, down * 10)];
}

function limit(plot: uPlot, at: Props['limit'], colours: Theme): void {
  if (!at) return;
  const { ctx, bbox } = plot;
  const y = plot.valToPos(at.at, 'y', true);
  const scale = devicePixelRatio || 1;
  ctx.save();
  ctx.strokeStyle = colours.alarm;
  ctx.fillStyle = colours.ink;
  ctx.lineWidth = scale;
  ctx.setLineDash([6 * scale, 4 * scale]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.font = `600 ${11 * scale}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.textAlign = 'right';
  ctx.fillText(at.name, bbox.left + bbox.width - 4 * scale, y - 6 * scale);
  ctx.restore();
}
