// Is there enough warm capacity, and what was just decided?

import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Refused } from '../api';
import { live, useLive } from '../live';
import { at as cellAt, type Cell, layout, paint, paintSome } from '../paint/fleet';
import { time } from '../paint/scales';
import { type Decision, type Replica, type Service, useFleet } from '../stream/fleet';
import { group, type Group, GROUPS, LETTER, theme } from '../theme/colours';
import { Canvas } from '../ui/canvas';
import { Command, Panel, Phase, Readout, Table } from '../ui/parts';

/** DOM up to here, a canvas above. */
const BUTTONS = 200;
const SHOWN = 500;

export function Fleet() {
  useLive();
  const [answer, again] = useFleet();
  switch (answer.kind) {
    case 'asking':
      return <Panel title="Fleet"><p>Asking for services.</p></Panel>;
    case 'none':
      return <Alone />;
    case 'problem':
      return <FleetProblem title="Fleet" why={answer.why} again={again} />;
    case 'fleet':
      return (
        <Last lost={answer.lost}>
          {answer.services.map((service) => (
            <ServicePanel key={service.name} service={service} />
          ))}
          <Decisions decisions={answer.decisions} />
          <Command>{`preheat status --why ${location.origin}`}</Command>
        </Last>
      );
  }
}

/** What was asked, what came back, and another try. */
export function FleetProblem({ title, why, again }: { title: string; why: Refused; again: () => void }) {
  return (
    <Panel title={title}>
      <p role="alert">
        <span class="alarm">✕ {why.status || 'no answer'}</span> {why.asked}: {why.detail}
      </p>
      <button type="button" onClick={again}>Try again</button>
    </Panel>
  );
}

/** The last that a gateway told, and whether it still tells. */
export function Last({ lost, children }: { lost?: Refused; children: ComponentChildren }) {
  return (
    <div class={lost ? 'stale' : ''}>
      {lost && (
        <p role="alert">
          <span class="alarm">✕ connection lost</span> {lost.asked}: {lost.detail}. Below is how things were;
          this page goes on by itself once the gateway answers.
        </p>
      )}
      {children}
    </div>
  );
}

/** A replica knows of no other. */
function Alone() {
  const passport = live.world.passport;
  return (
    <Panel title="Fleet">
      <p>
        This page comes from one replica, and a replica knows of no other: there is no fleet to show here. A
        gateway shows its replicas by phase and role, and why it decided what.
      </p>
      {passport && (
        <div class="stacks">
          <Table
            caption="This replica"
            rows={[passport]}
            columns={[
              { head: 'replica', kind: 'text', cell: (p) => p.id.slice(0, 8) },
              { head: 'phase', cell: (p) => <Phase phase={p.report.phase} /> },
              { head: 'since', kind: 'number', cell: (p) => time(p.phases.at(-1)?.at_ms ?? 0) },
              { head: 'HTTP', kind: 'text', cell: (p) => p.http },
              { head: 'gRPC', kind: 'text', cell: (p) => p.grpc },
            ]}
          />
        </div>
      )}
    </Panel>
  );
}

const ROLES = ['active', 'spare'];

function ServicePanel({ service }: { service: Service }) {
  const capacity = (service.capacity_rps ?? 0) * service.replicas.filter((r) => r.serving).length;
  return (
    <Panel title={service.name} table={<Matrix service={service} />}>
      <p>{service.detail}</p>
      <Readout
        figures={[
          { name: 'arrivals', value: `${service.rate_rps.toFixed(1)}/s`, note: capacity ? `of ${capacity.toFixed(0)}/s` : 'capacity not known' },
          { name: 'held', value: String(service.held), alarm: service.held > 0 && !service.replicas.some((r) => r.serving) },
          { name: 'wanted', value: `${service.wanted} + ${service.spares} spare`, note: `between ${service.min} and ${service.max}` },
          { name: 'replicas', value: String(service.replicas.length) },
        ]}
      />
      <p class="small">{service.reason}</p>
      <div class="scroll stacks pairs" tabIndex={0} role="group" aria-label="Table">
        <Matrix service={service} />
      </div>
      <Cells service={service} />
    </Panel>
  );
}

/** Exact: how many of each role are in each phase. */
function Matrix({ service }: { service: Service }) {
  const count = (role: string, which: Group) =>
    service.replicas.filter((replica) => replica.role === role && group(replica.phase) === which).length;
  return (
    <Table
      caption="Replicas by role and phase"
      rows={ROLES}
      columns={[
        { head: 'role', cell: (role) => role },
        ...GROUPS.map((which) => ({
          head: `${LETTER[which]} ${which}`,
          kind: 'number' as const,
          cell: (role: string) => String(count(role, which)),
        })),
      ]}
    />
  );
}

function Cells({ service }: { service: Service }) {
  const [filter, setFilter] = useState('');
  const [chosen, choose] = useState('');
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.key !== '/' || (event.target as HTMLElement).closest('input, textarea, select')) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
  const sorted = useMemo(
    () => [...service.replicas].sort((a, b) => a.role.localeCompare(b.role) || (a.id < b.id ? -1 : 1)),
    [service],
  );
  const words = filter.toLowerCase();
  const shown = words ? sorted.filter((r) => `${r.id} ${r.phase} ${r.role}`.toLowerCase().includes(words)) : sorted;
  const one = sorted.find((replica) => replica.id === chosen);
  return (
    <>
      <p class="line">
        <label class="small">
          Filter <input ref={input} value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
        </label>
        <span class="muted small">
          {shown.length} of {sorted.length}
        </span>
      </p>
      {shown.length <= BUTTONS ? (
        <div class="cells">
          {shown.map((replica) => (
            <button
              key={replica.id}
              type="button"
              class={`mark ${group(replica.phase)}`}
              aria-label={`${replica.id.slice(0, 8)}, ${replica.role}, ${replica.phase}`}
              onClick={() => choose(replica.id)}
            >
              {LETTER[group(replica.phase)]}
            </button>
          ))}
        </div>
      ) : (
        <ManyCells replicas={shown} choose={choose} />
      )}
      {one && (
        <p class="small">
          <Phase phase={one.phase} word={`${one.id.slice(0, 8)} · ${one.role} · ${one.detail}`} /> · {one.in_flight} of{' '}
          {one.concurrency} in flight{one.latency_ms ? ` · ${time(one.latency_ms)}` : ''}
        </p>
      )}
    </>
  );
}

/** Painted: only the cells that changed, whatever else happens on the page. */
function ManyCells({ replicas, choose }: { replicas: Replica[]; choose: (id: string) => void }) {
  const [width, setWidth] = useState(0);
  const cells = useRef<Cell[]>([]);
  const changed = useRef<Set<number> | null>(null);
  const [mark, wake] = useState(0);
  const colours = useRef(theme());
  useEffect(() => {
    cells.current = replicas.map(({ id, phase, role }) => ({ id, phase, role }));
    changed.current = null;
    wake((n) => n + 1);
  }, [replicas]);
  useEffect(() => {
    const place = new Map(replicas.map((replica, index) => [replica.id, index]));
    const listener = (kind: string, data: unknown) => {
      if (kind !== 'replica') return;
      for (const { id, phase } of Array.isArray(data) ? data : [data]) {
        const index = place.get(id);
        const cell = index === undefined ? undefined : cells.current[index];
        if (!cell || cell.phase === phase) continue;
        cell.phase = phase;
        changed.current?.add(index!);
      }
      wake((n) => n + 1);
    };
    live.other.add(listener);
    return () => void live.other.delete(listener);
  }, [replicas]);
  const counts = GROUPS.map((which) => [which, replicas.filter((r) => group(r.phase) === which).length] as const);
  const words = counts.filter(([, n]) => n).map(([which, n]) => `${n} ${which}`);
  return (
    <Canvas
      height={layout(replicas.length, width || 600).height + 2}
      label={`${replicas.length} replicas: ${words.join(', ')}.`}
      mark={mark}
      onPoint={(x, y) => {
        const cell = cellAt(cells.current, width, x, y);
        if (cell) choose(cell.id);
      }}
      paint={(ctx, wide) => {
        if (wide !== width || colours.current !== theme() || !changed.current) {
          colours.current = theme();
          paint(ctx, cells.current, wide, colours.current);
          if (wide !== width) setWidth(wide);
        } else {
          paintSome(ctx, cells.current, changed.current, wide, colours.current);
        }
        changed.current = new Set();
        return false;
      }}
    />
  );
}

function Decisions({ decisions }: { decisions: Decision[] }) {
  const newest = [...decisions].sort((a, b) => b.sequence - a.sequence).slice(0, SHOWN);
  return (
    <Panel title="Decisions">
      {!newest.length && <p>Nothing was decided so far.</p>}
      <ul class="decisions" tabIndex={0} aria-label="Decisions, newest first">
        {newest.map((one) => (
          <li key={one.sequence}>
            <span class="muted">{time(one.at_ms)}</span> <strong>{one.action}</strong> {one.service}
            {one.replica ? ` ${one.replica.slice(0, 8)}` : ''}: {one.detail || one.reason}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
