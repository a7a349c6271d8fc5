// What is it doing, who is waiting, is anyone over the line?

import { useEffect, useRef, useState } from 'preact/hooks';
import { live, useLive } from '../live';
import { height, paint, type View } from '../paint/watch';
import { moment, time } from '../paint/scales';
import { type Place, remember } from '../router';
import { advance, fitting, following, type Playback, seek, SPEEDS, WINDOW } from '../stream/clock';
import { readout, type Readout as Figures, type Side } from '../stream/reducer';
import { OUTCOMES } from '../stream/ring';
import { SHIPPED, shipped } from '../stream/scenarios';
import { readTrace, type Trace } from '../stream/trace';
import { group, theme } from '../theme/colours';
import { Canvas } from '../ui/canvas';
import { Command, type Figure, isTyping, Panel, Readout, reducedMotion, Table } from '../ui/parts';

/** Live follows the clock; paused and played stand at a time of their own. */
type Mode = { kind: 'live' } | { kind: 'play'; play: Playback; what: 'pause' | 'start' | 'trace' };

/** What is played in place of this replica; `id` of a shipped scenario, none of a file. */
interface Played {
  id?: string;
  trace: Trace;
}

export function Watch({ place }: { place: Place }) {
  useLive();
  const [played, setPlayed] = useState<Played | null>(null);
  const [problem, setProblem] = useState('');
  const [mode, setMode] = useState<Mode>({ kind: 'live' });
  const trace = played?.trace;
  const sides = trace?.sides ?? [live.world.side];
  const latest = useRef({ mode, sides });
  latest.current = { mode, sides };
  useFromAddress(place, setMode);
  usePlaying(mode, setMode);
  useWatchKeys(latest, setMode);
  useEffect(() => {
    if (mode.kind === 'live') remember('watch', {});
    else if (!mode.play.playing && (mode.what !== 'trace' || played?.id)) {
      remember('watch', { ...address(mode), scenario: played?.id });
    }
  }, [mode]);

  const show = async (name: string, read: () => Promise<Trace>, id?: string, at?: number) => {
    try {
      const trace = await read();
      const mode = opening(trace.from, trace.until, 'trace');
      if (at !== undefined && mode.kind === 'play') mode.play = { ...seek(mode.play, at), playing: false };
      setProblem('');
      setPlayed({ id, trace });
      setMode(mode);
    } catch (error) {
      setProblem(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  };
  const choose = (id: string, at?: number) => show(id, () => shipped(id), id, at);
  const open = (file: File | undefined) => file && show(file.name, async () => readTrace(await file.text()));
  const leave = () => {
    setPlayed(null);
    setMode({ kind: 'live' });
  };
  useEffect(() => {
    const id = place.query.get('scenario');
    if (id) void choose(id, place.query.has('at') ? Number(place.query.get('at')) || 0 : undefined);
  }, []);
  // A gateway has no start of its own to show.
  const nothing = !trace && live.link.state === 'fleet';
  return (
    <>
      {trace && (
        <p class="line">
          {trace.simulated && <span class="simulated">SIMULATED</span>}
          <strong class="name">{trace.title}</strong>
          <button type="button" onClick={leave}>
            {live.link.state === 'fleet' ? 'close' : 'back to this replica'}
          </button>
        </p>
      )}
      {trace?.about && <p class="muted small">{trace.about}</p>}
      {problem && <p role="alert">{problem}</p>}
      <Controls
        mode={mode}
        setMode={setMode}
        side={sides[0]!}
        played={played}
        nothing={nothing}
        open={open}
        choose={choose}
      />
      {nothing ? (
        <Panel title="Watch">
          <p>
            A gateway has no start of its own: its replicas are on the page <a href="#/fleet">Fleet</a>. A
            simulated scenario, or a recorded trace, can be played here.
          </p>
        </Panel>
      ) : (
        <div class={sides.length > 1 ? 'columns' : ''}>
          {sides.map((side, index) => (
            <SidePanel key={`${side.title}${index}`} side={side} mode={mode} />
          ))}
        </div>
      )}
      {sides.length > 1 && <Difference sides={sides} mode={mode} />}
      {!nothing && <Legend />}
      <Command>{played?.id ? `preheat simulate examples/simulate/${played.id}.toml` : 'preheat status --json'}</Command>
    </>
  );
}

function address(mode: Mode & { kind: 'play' }): Record<string, string> {
  const { from, to, at } = mode.play;
  return { from: from.toFixed(3), to: to.toFixed(3), at: at.toFixed(3), what: mode.what };
}

/** A link opens exactly the view that it was taken from. */
function useFromAddress(place: Place, setMode: (mode: Mode) => void): void {
  useEffect(() => {
    const number = (name: string) => Number(place.query.get(name) ?? Number.NaN);
    const [from, to, at] = [number('from'), number('to'), number('at')];
    if (![from, to, at].every(Number.isFinite) || to <= from) return;
    if (place.query.has('scenario')) return;
    const what = place.query.get('what') === 'start' ? 'start' : 'pause';
    setMode({ kind: 'play', what, play: { from, to, at, speed: fitting(to - from), playing: false } });
  }, []);
}

function opening(from: number, to: number, what: 'start' | 'trace'): Mode {
  const still = reducedMotion();
  const play = { from, to, at: still ? to : from, speed: fitting(to - from), playing: !still };
  return { kind: 'play', what, play };
}

function usePlaying(mode: Mode, setMode: (set: (mode: Mode) => Mode) => void): void {
  const playing = mode.kind === 'play' && mode.play.playing;
  useEffect(() => {
    if (!playing) return;
    // Nothing travels where that is not wished: whole steps of a second of the page's time.
    const step = reducedMotion() ? 1000 : 0;
    let frame = 0;
    let before = performance.now();
    const next = () => {
      const now = performance.now();
      if (now - before >= step) {
        const ms = now - before;
        before = now;
        setMode((old) => (old.kind === 'play' ? { ...old, play: advance(old.play, ms) } : old));
      }
      frame = requestAnimationFrame(next);
    };
    frame = requestAnimationFrame(next);
    return () => cancelAnimationFrame(frame);
  }, [playing]);
}

/** Where the window stands and what is known in it. */
function view(side: Side, mode: Mode): View {
  if (mode.kind === 'play') return { from: mode.play.from, to: mode.play.to, at: mode.play.at };
  const now = Math.max(live.now(), side.until);
  return { ...following(now), at: now };
}

interface ControlsProps {
  mode: Mode;
  setMode: (mode: Mode | ((old: Mode) => Mode)) => void;
  side: Side;
  played: Played | null;
  /** There is neither a replica nor a trace. */
  nothing: boolean;
  open: (file: File | undefined) => void;
  choose: (id: string) => void;
}

function Controls({ mode, setMode, side, played, nothing, open, choose }: ControlsProps) {
  const isTrace = !!played;
  const play = mode.kind === 'play' ? mode.play : null;
  const ready = side.bands[0]?.segments.find((segment) => segment.phase === 'ready');
  const change = (next: Playback) => setMode((old) => (old.kind === 'play' ? { ...old, play: next } : old));
  return (
    <div class="panel line" role="group" aria-label="Time">
      {!play && !nothing && (
        <button type="button" onClick={() => setMode(paused())}>
          Pause
        </button>
      )}
      {play && (
        <button type="button" onClick={() => change(toggled(play))}>
          {play.playing ? 'Pause' : 'Play'}
        </button>
      )}
      {play && !isTrace && (
        <button type="button" onClick={() => setMode({ kind: 'live' })}>
          ▶ go live{behind(play)}
        </button>
      )}
      {ready && !isTrace && (
        <button type="button" onClick={() => setMode(opening(0, end(side, ready.from), 'start'))}>
          Replay this start
        </button>
      )}
      {play && (
        <>
          <label>
            Speed{' '}
            <select
              value={String(play.speed)}
              onChange={(event) => change({ ...play, speed: Number(event.currentTarget.value) })}
            >
              {SPEEDS.map((speed) => (
                <option key={speed} value={String(speed)}>
                  {speed}×
                </option>
              ))}
            </select>
          </label>
          <input
            type="range"
            aria-label="Time"
            aria-valuetext={moment(play.at)}
            min={play.from}
            max={play.to}
            step={(play.to - play.from) / 1000}
            value={play.at}
            onInput={(event) =>
              change({ ...seek(play, Number(event.currentTarget.value)), playing: false })
            }
          />
          <span>{moment(play.at)}</span>
          <button type="button" onClick={() => breachAt(side, play, change)}>
            first breach
          </button>
        </>
      )}
      <label class="push small">
        <span class="muted">Simulated </span>
        <select
          value={played?.id ?? ''}
          onChange={(event) => event.currentTarget.value && choose(event.currentTarget.value)}
        >
          <option value="">choose a scenario</option>
          {SHIPPED.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label class="small">
        <span class="muted">Recorded trace </span>
        <input
          type="file"
          accept=".ndjson,.json"
          onChange={(event) => open(event.currentTarget.files?.[0])}
        />
      </label>
    </div>
  );
}

/** A start is over when it is ready; a little of what follows shows that it is. */
function end(side: Side, ready: number): number {
  const { requests } = side;
  for (const at of requests) {
    const arrival = requests.arrival[at]!;
    // The first user's request belongs to the picture unless it came much later.
    if (arrival >= ready && arrival < ready * 1.5) return (arrival + requests.latency[at]!) * 1.03;
  }
  return ready * 1.08;
}

function paused(): Mode {
  const at = Math.max(live.now(), 1);
  return {
    kind: 'play',
    what: 'pause',
    play: { from: Math.max(0, at - WINDOW), to: at, at, speed: 1, playing: false },
  };
}

function toggled(play: Playback): Playback {
  if (play.playing) return { ...play, playing: false };
  return { ...play, at: play.at >= play.to ? play.from : play.at, playing: true };
}

function behind(play: Playback): string {
  const { requests } = live.world.side;
  let count = 0;
  for (const at of requests) if (requests.arrival[at]! > play.to) count += 1;
  return count ? ` (${count} behind)` : '';
}

/** When the first request passed the line, whether it was answered by then or not. */
export function firstBreach(side: Side): number | null {
  const { requests } = side;
  let first = Number.POSITIVE_INFINITY;
  for (const at of requests) {
    const late = requests.latency[at]! > side.sloMs ? Math.min(side.sloMs + 1, requests.latency[at]!) : null;
    const refused = OUTCOMES[requests.outcome[at]!] === 'refused' ? requests.latency[at]! : null;
    const after = late ?? refused;
    if (after !== null) first = Math.min(first, requests.arrival[at]! + after);
  }
  return Number.isFinite(first) ? first : null;
}

function breachAt(side: Side, play: Playback, change: (play: Playback) => void): void {
  const at = firstBreach(side);
  if (at !== null) change({ ...seek(play, at), playing: false });
}

/** Every moment at which something is said to happen, in order. */
function moments(side: Side): number[] {
  const all = side.bands.flatMap((band) => band.segments.map((segment) => segment.from));
  for (const at of side.requests) all.push(side.requests.arrival[at]!);
  for (const run of side.synthetic) all.push(run.at);
  return all.sort((a, b) => a - b);
}

function useWatchKeys(
  latest: { current: { mode: Mode; sides: Side[] } },
  setMode: (mode: Mode | ((old: Mode) => Mode)) => void,
): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement | null;
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (localStorage.getItem('preheat-keys') === 'off') return;
      if (event.key === ' ' && target?.closest('button, a')) return;
      const { mode, sides } = latest.current;
      if (event.key === ' ') {
        event.preventDefault();
        if (mode.kind === 'live') setMode(paused());
        else setMode({ ...mode, play: toggled(mode.play) });
        return;
      }
      if (mode.kind !== 'play') return;
      const to = sought(event, mode.play, sides);
      if (to === null) return;
      event.preventDefault();
      setMode({ ...mode, play: { ...seek(mode.play, to), playing: false } });
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}

function sought(event: KeyboardEvent, play: Playback, sides: Side[]): number | null {
  const step = ((play.to - play.from) / 100) * (event.shiftKey ? 10 : 1);
  switch (event.key) {
    case 'ArrowLeft':
      return play.at - step;
    case 'ArrowRight':
      return play.at + step;
    case 'Home':
      return play.from;
    case 'End':
      return play.to;
    case 'b':
      return firstBreach(sides[0]!);
    case '.':
      return moments(sides[0]!).find((at) => at > play.at + 1e-6) ?? null;
    default:
      return null;
  }
}

function SidePanel({ side, mode }: { side: Side; mode: Mode }) {
  const at = view(side, mode).at;
  const figures = readout(side, at);
  const label = sentence(side, figures, at);
  const mark = mode.kind === 'play' ? mode.play : at;
  return (
    <Panel title={side.title || 'this replica'} table={<Recent side={side} at={at} />}>
      {side.bands.length ? <Steps phase={figures.phase} /> : <p>Waiting for the passport.</p>}
      <Readout figures={shown(side, figures)} />
      <Canvas
        height={height(side.bands.length)}
        label={label}
        mark={mark}
        paint={(ctx, width, tall) => {
          const now = view(side, mode);
          paint(ctx, side, now, { width, height: tall }, theme());
          return mode.kind === 'live' && live.link.state === 'live' && !reducedMotion();
        }}
      />
    </Panel>
  );
}

const STEPS = ['cold', 'loading', 'warming', 'warm'] as const;
const STEP_PHASE = { cold: 'starting', loading: 'loading', warming: 'warming', warm: 'ready' };

function Steps({ phase }: { phase: string }) {
  const which = group(phase);
  const at = STEPS.findIndex((step) => step === which);
  if (at < 0) return <p>{phase}</p>;
  return (
    <ol class="steps" aria-label={`step ${at + 1} of 4: ${which}`}>
      {STEPS.map((step, index) => {
        const done = index < at || (index === at && step === 'warm');
        const state = index === at ? 'doing' : index < at ? 'done' : 'todo';
        return (
          <li key={step} class={state}>
            <span class={`mark ${group(STEP_PHASE[step])}`} aria-hidden="true">
              {done ? '✓' : index === at ? '▶' : '·'}
            </span>
            {step}
          </li>
        );
      })}
    </ol>
  );
}

function shown(side: Side, figures: Figures): Figure[] {
  const { p95, n, waiting, waitingOver } = figures;
  return [
    { name: 'stage', value: figures.phase },
    {
      name: 'latency',
      value: p95 === null ? '–' : time(p95),
      note: p95 === null ? 'nothing in the last second' : `p95 of ${n} in 1 s`,
      alarm: p95 !== null && p95 > side.sloMs,
    },
    { name: 'SLO', value: time(side.sloMs) },
    { name: 'served', value: String(figures.served) },
    { name: 'queued', value: String(waiting), note: waitingOver ? `${waitingOver} past the line` : undefined },
    { name: 'over SLO', value: String(figures.over), alarm: figures.over > 0 },
    { name: 'refused', value: String(figures.refused), alarm: figures.refused > 0 },
  ];
}

function sentence(side: Side, figures: Figures, at: number): string {
  const p95 = figures.p95 === null ? 'no answer in the last second' : `p95 ${time(figures.p95)}`;
  return (
    `At ${moment(at)}: ${figures.phase}, ${p95}, objective ${time(side.sloMs)}, served ${figures.served}, ` +
    `waiting ${figures.waiting}, over the objective ${figures.over}, refused ${figures.refused}.`
  );
}

interface Row {
  arrival: number;
  latency: number | null;
  outcome: string;
}

function Recent({ side, at }: { side: Side; at: number }) {
  const rows: Row[] = [];
  const { requests } = side;
  for (const n of requests) {
    const [arrival, latency] = [requests.arrival[n]!, requests.latency[n]!];
    if (arrival > at) continue;
    const over = arrival + latency <= at;
    rows.push({
      arrival,
      latency: over ? latency : null,
      outcome: over ? OUTCOMES[requests.outcome[n]!]! : 'waiting',
    });
  }
  const newest = rows.slice(-50).reverse();
  if (!newest.length) return <p>No request so far.</p>;
  return (
    <Table
      caption="The newest 50 requests"
      rows={newest}
      columns={[
        { head: 'arrival', kind: 'number', cell: (row) => moment(row.arrival) },
        { head: 'latency', kind: 'number', cell: (row) => (row.latency === null ? '–' : time(row.latency)) },
        { head: 'outcome', cell: (row) => row.outcome },
        {
          head: 'objective',
          cell: (row) => (row.latency === null ? '' : row.latency > side.sloMs ? '▲ over' : '• in time'),
        },
      ]}
    />
  );
}

function Difference({ sides, mode }: { sides: Side[]; mode: Mode }) {
  const over = sides.map((side) => readout(side, view(side, mode).at).over);
  const words = sides.map((side, index) => `${over[index]} ${side.title}`).join(', ');
  return <p>Over the objective: {words}.</p>;
}

function Legend() {
  const words = [
    '• in time',
    '▲ over the objective',
    '✕ refused or failed',
    '○ waiting, on a stem as high as its age',
    '◆ first real request after ready',
    '+ the warm-up’s own run, not counted',
    'x: arrival; y: latency, log',
  ];
  return (
    <ul class="legend">
      {words.map((word) => (
        <li key={word}>{word}</li>
      ))}
    </ul>
  );
}
