// Where did the time go?

import { useState } from 'preact/hooks';
import type { Passport, StageReport } from '../api';
import { useLive } from '../live';
import { bytes, ticks, time } from '../paint/scales';
import { rowOf } from '../stream/costs';
import { account, type Accounts, FIRST_REQUEST } from '../stream/waterfall';
import { group, LETTER } from '../theme/colours';
import { Command, Empty, Panel, Readout, Table } from '../ui/parts';


export function ColdStart() {
  const live = useLive();
  const passport = live.world.passport;
  const [least, setLeast] = useState(0);
  if (!passport) return <Panel title="Cold start"><p>Waiting for the passport.</p></Panel>;
  const model = passport.report.models[0];
  const stages = [...(model?.waterfall ?? [])].sort((a, b) => a.start_ms - b.start_ms);
  const ready = passport.phases.find((change) => change.phase === 'ready');
  const before = stages.filter((s) => !ready || s.start_ms <= ready.at_ms || s.stage === FIRST_REQUEST);
  const total = Math.max(1, ready?.at_ms ?? live.now());
  const accounts = account(before, total);
  const first = stages.find((stage) => stage.stage === FIRST_REQUEST);
  const longest = before
    .filter((stage) => stage.stage !== FIRST_REQUEST)
    .reduce<StageReport | null>((most, s) => (s.ms > (most?.ms ?? 0) ? s : most), null);
  const rows = before.filter((stage) => stage.stage !== FIRST_REQUEST);
  const kept = rows.filter((stage) => stage.ms >= least);
  return (
    <>
      <Panel
        title="Cold start"
        table={<StageTable rows={before} accounts={accounts} all={before} />}
        aside={
          <>
            <label class="small">
              shorter than{' '}
              <input
                class="short"
                type="number"
                min="0"
                step="any"
                value={least}
                onInput={(event) => setLeast(Math.max(0, Number(event.currentTarget.value) || 0))}
              />{' '}
              ms is hidden
            </label>
            {rows.length > kept.length && <span class="muted small">{rows.length - kept.length} hidden</span>}
          </>
        }
      >
        <Readout
          figures={[
            { name: ready ? 'process → ready' : 'so far', value: time(total) },
            {
              name: 'longest stage',
              value: longest ? longest.stage : '–',
              note: longest ? `${time(longest.ms)}, ${Math.round((100 * longest.ms) / total)} %` : '',
            },
            { name: 'not accounted for', value: time(accounts.unaccounted) },
            {
              name: 'first request',
              value: first ? time(first.ms) : '–',
              note: first ? `${time(Math.max(0, first.start_ms - total))} after ready` : 'none so far',
            },
          ]}
        />
        <Waterfall rows={kept} all={before} accounts={accounts} passport={passport} />
        <p class="muted small">
          ▬ below a bar: critical path, the time that this stage alone held the start up. Linear seconds from
          exec; stages side by side overlap.
        </p>
        {model?.error && (
          <p role="alert">
            <span class="alarm">✕ {model.error.stage}</span> {model.error.cause}. {model.error.remedy}
          </p>
        )}
      </Panel>
      <Command>preheat status</Command>
    </>
  );
}

interface WaterfallProps {
  rows: StageReport[];
  all: StageReport[];
  accounts: Accounts;
  passport: Passport;
}

function Waterfall({ rows, all, accounts, passport }: WaterfallProps) {
  const { total } = accounts;
  const share = (ms: number) => `${(100 * Math.max(0, Math.min(total, ms))) / total}%`;
  const [open, setOpen] = useState<string | null>(null);
  if (!rows.length) return <Empty>No stage has ended so far.</Empty>;
  const move = (event: KeyboardEvent) => {
    const row = event.currentTarget as HTMLElement;
    const sibling = event.key === 'ArrowDown' ? row.nextElementSibling : event.key === 'ArrowUp' ? row.previousElementSibling : null;
    const target = sibling?.querySelector<HTMLElement>('button');
    if (target) {
      event.preventDefault();
      target.focus();
    }
  };
  const phases = passport.phases.filter((change) => change.at_ms <= total);
  return (
    <div class="waterfall">
      <div class="row">
        <span class="muted small">phases</span>
        <Phases phases={phases} total={total} share={share} />
        <span class="figures" />
      </div>
      {rows.map((stage) => {
        const index = all.indexOf(stage);
        const id = `${stage.stage}@${stage.start_ms}`;
        return (
          <div class="row" key={id} onKeyDown={move}>
            <button type="button" class="name small" aria-expanded={open === id} onClick={() => setOpen(open === id ? null : id)}>
              {stage.stage}
            </button>
            <Bar stage={stage} parts={accounts.critical.get(index) ?? []} share={share} />
            <div class="figures small">{figures(stage)}</div>
            {open === id && <p class="about small">{about(stage.stage)}</p>}
          </div>
        );
      })}
      <div class="row">
        <span class="small">not accounted for</span>
        <Axis total={total} />
        <div class="figures small">{time(accounts.unaccounted)}</div>
      </div>
    </div>
  );
}

type Share = (ms: number) => string;

function Phases({ phases, total, share }: { phases: Passport['phases']; total: number; share: Share }) {
  const label = phases.map((change) => `${change.phase} from ${time(change.at_ms)}`).join(', ');
  return (
    <svg class="lane" height="22" role="img" aria-label={label}>
      {phases.map((change, index) => {
        const to = phases[index + 1]?.at_ms ?? total;
        const which = group(change.phase);
        const part = (to - change.at_ms) / total;
        return (
          <g key={index}>
            <rect class={`bar ${which}`} x={share(change.at_ms)} width={share(to - change.at_ms)} y="2" height="18" />
            {part > 0.03 && (
              <svg x={share(change.at_ms)} overflow="visible">
                <text class={`letter ${which}`} x="4" y="15">
                  {LETTER[which]}
                  {part > 0.25 ? ` ${change.phase}` : ''}
                </text>
              </svg>
            )}
          </g>
        );
      })}
    </svg>
  );
}

/** Never thinner than a pixel and a half: what happened is seen, however short it was. */
function Bar({ stage, parts, share }: { stage: StageReport; parts: [number, number][]; share: Share }) {
  return (
    <svg class="lane" height="24" aria-hidden="true">
      <rect class="track" x="0" width="100%" y="3" height="14" />
      <rect class={`bar ${colour(stage)}`} x={share(stage.start_ms)} width={share(stage.ms)} y="3" height="14" />
      <rect class={`bar ${colour(stage)}`} x={share(stage.start_ms)} width="1.5" y="3" height="14" />
      {parts.map(([from, to]) => (
        <rect key={from} class="critical" x={share(from)} width={share(to - from)} y="19" height="3" />
      ))}
    </svg>
  );
}

function Axis({ total }: { total: number }) {
  const marks = ticks(0, total, 6);
  return (
    <svg class="lane" height="18" aria-hidden="true">
      {marks.map((tick) => (
        <text
          key={tick}
          class="axis"
          x={`${(100 * tick) / total}%`}
          y="13"
          text-anchor={tick === 0 ? 'start' : tick > total * 0.95 ? 'end' : 'middle'}
        >
          {time(tick)}
        </text>
      ))}
    </svg>
  );
}

function colour(stage: StageReport): string {
  if (stage.stage === 'start' || stage.stage === 'fetch') return 'cold';
  return stage.stage.startsWith('warm') || stage.stage === 'prove' ? 'warming' : 'loading';
}

/** What it is, what it usually takes elsewhere, and what makes it short. */
function about(stage: string): string {
  const row = rowOf(stage);
  if (!row) return 'A stage of this engine.';
  const [from, to] = row.typical;
  const typical = to ? ` Typical elsewhere, not measured: ${time((from ?? 0) * 1000)} to ${time(to * 1000)}.` : '';
  return `${row.about}${typical} ${row.cure}`;
}

function figures(stage: StageReport): string {
  const parts = [time(stage.ms)];
  if (stage.bytes) {
    parts.push(bytes(stage.bytes));
    // A mapping of a file moves no bytes; a speed of it would be a fiction.
    if (stage.ms >= 1) parts.push(`${bytes((stage.bytes / stage.ms) * 1000)}/s`);
  }
  if (typeof stage.cpu_ms === 'number') parts.push(`cpu ${time(stage.cpu_ms)}`);
  return parts.join(' · ');
}

function StageTable({ rows, accounts, all }: { rows: StageReport[]; accounts: Accounts; all: StageReport[] }) {
  const path = (stage: StageReport) =>
    (accounts.critical.get(all.indexOf(stage)) ?? []).reduce((sum, [from, to]) => sum + to - from, 0);
  return (
    <>
      <Table
        caption="Stages of the start"
        rows={rows}
        columns={[
          { head: 'stage', kind: 'text', cell: (s) => s.stage },
          { head: 'from', kind: 'number', cell: (s) => time(s.start_ms) },
          { head: 'took', kind: 'number', cell: (s) => time(s.ms) },
          { head: 'on the critical path', kind: 'number', cell: (s) => time(path(s)) },
          { head: 'bytes', kind: 'number', cell: (s) => (s.bytes ? bytes(s.bytes) : '–') },
          { head: 'cpu', kind: 'number', cell: (s) => (typeof s.cpu_ms === 'number' ? time(s.cpu_ms) : '–') },
        ]}
      />
      <p>Not accounted for: {time(accounts.unaccounted)} of {time(accounts.total)}.</p>
    </>
  );
}
