// What does each stage of a cold start cost, and what would it cost not to have it?

import { useState } from 'preact/hooks';
import { useLive } from '../live';
import { time } from '../paint/scales';
import { FIRST_REQUEST } from '../stream/waterfall';
import { type Cost, costs, price } from '../stream/costs';
import { Command, Panel, Readout, Table } from '../ui/parts';

const HOURS_OF_A_MONTH = 720;

export function Costs() {
  const live = useLive();
  const passport = live.world.passport;
  const [arrivals, setArrivals] = useState(10);
  const [starts, setStarts] = useState(24);
  const rows = costs(passport?.report.models[0]?.waterfall ?? []);
  const ready = passport?.phases.find((change) => change.phase === 'ready')?.at_ms ?? null;
  const whole = ready === null ? null : price(ready, arrivals, starts);
  return (
    <Panel title="Costs of a cold start">
      <div class="line">
        <Field name="arrivals a second" value={arrivals} set={setArrivals} />
        <Field name="starts a day" value={starts} set={setStarts} />
      </div>
      <Readout
        figures={[
          { name: 'process → ready', value: ready === null ? '–' : time(ready), note: ready === null ? 'no start was measured here' : 'measured here' },
          { name: 'requests meanwhile', value: whole ? amount(whole.requests) : '–', note: 'wait or are refused in each start without a spare' },
          { name: 'replica-hours a month', value: whole ? amount(whole.hours) : '–', note: 'in which replicas start instead of serving' },
          { name: 'one warm spare', value: String(HOURS_OF_A_MONTH), note: 'replica-hours a month, and nobody waits' },
        ]}
      />
      <div class="scroll wide stacks" tabIndex={0} role="group" aria-label="Costs by stage">
        <Table
          caption="Stages of a cold start: what is typical, what was measured here, what it costs"
          rows={rows}
          columns={[
            { head: 'stage', kind: 'text', cell: ({ row }) => row.stage },
            { head: 'typical elsewhere', kind: 'number', cell: typical },
            { head: 'measured here', kind: 'number', cell: ({ ms }) => (ms === null ? '–' : time(ms)) },
            { head: 'requests meanwhile', kind: 'number', cell: (cost) => meanwhile(cost, arrivals, starts) },
            { head: 'what it is', kind: 'prose', cell: ({ row }) => row.about },
            { head: 'what makes it short', kind: 'prose', cell: ({ row }) => row.cure },
          ]}
        />
      </div>
      <p class="muted small">
        Typical times are rules of thumb for servers that take no care of their start, not measurements.
        Stages side by side share their time, so the rows may add up to more than the start.
      </p>
      <Command>preheat simulate --plan --from report.json</Command>
    </Panel>
  );
}

function Field({ name, value, set }: { name: string; value: number; set: (value: number) => void }) {
  return (
    <label class="small">
      {name}{' '}
      <input
        class="short"
        type="number"
        min="0"
        step="any"
        value={value}
        onInput={(event) => set(Math.max(0, Number(event.currentTarget.value) || 0))}
      />
    </label>
  );
}

function typical({ row }: Cost): string {
  const [from, to] = row.typical;
  return to ? `${time((from ?? 0) * 1000)} to ${time(to * 1000)}` : '–';
}

/** Nobody waits for the first request but the one who sent it. */
function meanwhile({ row, ms }: Cost, arrivals: number, starts: number): string {
  if (ms === null || row.ours.includes(FIRST_REQUEST)) return '–';
  return amount(price(ms, arrivals, starts).requests);
}

function amount(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value >= 10 ? value.toFixed(0) : value >= 0.1 || value === 0 ? value.toFixed(1) : value.toFixed(3);
}
