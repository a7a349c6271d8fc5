// May it serve, and if not, why?

import type { CheckReport, ModelReport, Passport } from '../api';
import { useLive } from '../live';
import { bytes, leadingNumber } from '../paint/scales';
import { Command, Empty, Panel, Phase, Readout, Table } from '../ui/parts';

export function Readiness() {
  const { world } = useLive();
  const passport = world.passport;
  const model = passport?.report.models[0];
  if (!passport || !model) return <Panel title="Readiness"><p>Waiting for the report.</p></Panel>;
  const rows = checklist(world.checks, model);
  const resident = world.gauges.at(-1)?.resident_bytes ?? model.memory.resident_bytes;
  return (
    <>
      <Panel title="Readiness" table={<CheckTable rows={rows} />}>
        <p>
          <Phase phase={passport.report.phase} word={passport.report.detail} />
        </p>
        {model.error && (
          <p role="alert">
            <span class="alarm">✕ {model.error.stage}</span> {model.error.cause}. What to do: {model.error.remedy}.
            Exit code {model.error.exit_code}.
          </p>
        )}
        <ul class="checks">
          {rows.map((row) => (
            <li key={row.id + row.what}>
              <span class={row.state === '✕' ? 'alarm' : ''} aria-label={WORD[row.state]}>
                {row.state}
              </span>
              <strong>{row.id}</strong>
              <div>
                {row.what}
                <div class="figures">
                  {row.value}
                  {row.limit && ` · limit ${row.limit}`}
                </div>
              </div>
              <Bullet value={row.value} limit={row.limit} />
            </li>
          ))}
        </ul>
        {!world.checks.length && (
          <Empty command="preheat wait --for ready">Nothing has been judged so far; this fills while it proves.</Empty>
        )}
      </Panel>
      <Memory passport={passport} model={model} resident={resident} />
      <Command>preheat status</Command>
    </>
  );
}

type State = '✓' | '✕' | '…' | '–' | '!';
const WORD: Record<State, string> = {
  '✓': 'holds',
  '✕': 'does not hold',
  '…': 'not judged yet',
  '–': 'not asked for',
  '!': 'missed, served all the same',
};

interface Row {
  id: string;
  what: string;
  value: string;
  limit: string;
  state: State;
}

/** P1 to P8 in order, also those that nobody has judged. */
export function checklist(checks: CheckReport[], model: ModelReport): Row[] {
  const judged = checks.map((check): Row => ({ ...check, state: check.ok ? '✓' : '✕' }));
  const waiting = model.proof.status === 'pending' ? '…' : '–';
  const names: [string, string, string][] = [
    ['P1', 'weights and tokenizer', ''],
    ['P2', 'every planned case ran, latency settled', ''],
    ['P3', 'first request after warm-up', ''],
    ['P4', 'overlapping requests give the same answers', ''],
    ['P5', 'peak memory', ''],
    ['P6', 'synthetic load under the objective', 'asked for with [warmup.load]'],
  ];
  const missing = names
    .filter(([id]) => !judged.some((row) => row.id === id))
    .map(([id, what, value]): Row => {
      const state = id === 'P6' && checks.length ? '–' : waiting;
      return { id, what, value, limit: '', state };
    });
  const whole: Row[] = [
    {
      id: 'P7',
      what: 'the same list in /ready, in the log and in the exit message',
      value: checks.length ? `${checks.length} items` : '',
      limit: '',
      state: checks.length ? '✓' : waiting,
    },
    {
      id: 'P8',
      what: 'noise is measured again, wrong output never excused',
      value: model.proof.status,
      limit: '',
      state: verdict(model.proof.status),
    },
  ];
  return [...judged, ...missing, ...whole].sort((a, b) => a.id.localeCompare(b.id));
}

function verdict(status: string): State {
  switch (status) {
    case 'passed':
      return '✓';
    case 'degraded':
      return '!';
    case 'failed':
      return '✕';
    case 'skipped':
      return '–';
    default:
      return '…';
  }
}

/** The same length is always the limit. */
function Bullet({ value, limit }: { value: string; limit: string }) {
  const [a, b] = [leadingNumber(value), leadingNumber(limit)];
  if (a === null || b === null || b <= 0) return <span />;
  const share = Math.min(1.25, a / b) / 1.25;
  return (
    <svg class="lane" height="16" role="img" aria-label={`${Math.round((100 * a) / b)} % of the limit`}>
      <rect class="track" x="0" width="100%" y="3" height="10" />
      <rect class={`bar ${a > b ? 'failed' : 'warm'}`} x="0" width={`${100 * share}%`} y="3" height="10" />
      <line class="line-ink" x1="80%" x2="80%" y1="0" y2="16" />
    </svg>
  );
}

function CheckTable({ rows }: { rows: Row[] }) {
  return (
    <Table
      caption="The readiness report"
      rows={rows}
      columns={[
        { head: 'id', cell: (row) => row.id },
        { head: 'what', kind: 'text', cell: (row) => row.what },
        { head: 'state', cell: (row) => `${row.state} ${WORD[row.state]}` },
        { head: 'value', kind: 'text', cell: (row) => row.value || '–' },
        { head: 'limit', kind: 'text', cell: (row) => row.limit || '–' },
      ]}
    />
  );
}

function Memory({ passport, model, resident }: { passport: Passport; model: ModelReport; resident: number }) {
  const { peak_bytes, limit_bytes } = model.memory;
  const may = limit_bytes * (1 - passport.objectives.headroom);
  const share = (count: number) => `${limit_bytes ? Math.min(100, (100 * count) / limit_bytes) : 0}%`;
  const percent = limit_bytes ? `${((100 * peak_bytes) / limit_bytes).toFixed(1)} %` : '–';
  const label =
    `Memory: ${bytes(resident)} now, ${bytes(peak_bytes)} at its peak, ` +
    (limit_bytes ? `${bytes(may)} allowed of ${bytes(limit_bytes)}.` : 'no limit known.');
  return (
    <Panel title="Memory of the host">
      <Readout
        figures={[
          { name: 'now', value: bytes(resident) },
          { name: 'peak', value: bytes(peak_bytes), note: `${percent} of the limit`, alarm: limit_bytes > 0 && peak_bytes > may },
          { name: 'may use', value: limit_bytes ? bytes(may) : '–', note: `${Math.round(100 * (1 - passport.objectives.headroom))} %` },
          { name: 'limit', value: limit_bytes ? bytes(limit_bytes) : 'not known' },
        ]}
      />
      <svg class="lane" height="34" role="img" aria-label={label}>
        <rect class="track" x="0" width="100%" y="4" height="18" />
        <rect class="bar loading" x="0" width={share(resident)} y="4" height="18" />
        <line class="line-ink" x1={share(peak_bytes)} x2={share(peak_bytes)} y1="0" y2="26" />
        <line class="line-alarm" x1={share(may)} x2={share(may)} y1="0" y2="26" />
        <line class="line-alarm" x1="100%" x2="100%" y1="0" y2="26" />
        <text class="axis" x={share(may)} y="34" text-anchor="end">{limit_bytes ? 'may use' : ''}</text>
        <text class="axis" x="100%" y="34" text-anchor="end">limit</text>
      </svg>
      <p class="muted small">Bar: resident now. Line: peak since the start. This build runs on CPUs: there is no device memory.</p>
    </Panel>
  );
}
