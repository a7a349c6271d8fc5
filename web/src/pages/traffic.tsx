// How fast is it, how much waits, and did anybody meet something cold?

import { useMemo } from 'preact/hooks';
import { useLive } from '../live';
import { moment, time } from '../paint/scales';
import { bins, levels } from '../stream/bins';
import { Chart, type Line } from '../ui/chart';
import { Command, Empty, Panel, Readout, Table } from '../ui/parts';

const SECONDS = 120;

const LATENCY: Line[] = [
  { name: 'p50', width: 1, format: time },
  { name: 'p95', width: 2.5, format: time },
  { name: 'p99', width: 1.5, dash: [2, 4], format: time },
];
const whole = (value: number) => (Number.isInteger(value) ? String(value) : value.toFixed(1));
const QUEUE: Line[] = [
  { name: 'requests inside', width: 2, format: whole },
  { name: 'rows queued', width: 1, dash: [4, 3], format: whole },
];
const BATCH: Line[] = [{ name: 'rows in a batch', width: 1.5, format: whole }];

export function Traffic() {
  const live = useLive();
  const { world } = live;
  const now = Math.floor(live.now() / 1000) * 1000 + 999;
  const seconds = bins(world.side, now, SECONDS);
  const gauge = world.gauges.at(-1);
  const level = useMemo(() => levels(world.gauges, live.now(), SECONDS), [gauge]);
  const latency = useMemo(
    () => [seconds.at, seconds.p50, seconds.p95, seconds.p99],
    [now, world.side.requests.length + world.side.requests.fellOut],
  );
  const latest = seconds.p95.findLastIndex((value) => value !== null);
  const figure = (list: (number | null)[]) => (latest < 0 ? '–' : time(list[latest]!));
  // Figures of a second that has long passed say so: nobody was answered since.
  const ago = latest < 0 ? 0 : now - 999 - seconds.at[latest]! * 1000;
  const note = ago > 2000 ? `${time(ago)} ago` : undefined;
  const slo = world.side.sloMs;
  const label =
    latest < 0
      ? 'No request was answered in the last two minutes.'
      : `In the second ${moment(seconds.at[latest]! * 1000)}: p50 ${figure(seconds.p50)}, p95 ${figure(seconds.p95)}, p99 ${figure(seconds.p99)}, objective ${time(slo)}.`;
  return (
    <>
      <Panel
        title="Latency, by the second"
        table={
          <Table
            caption="Latency by the second, newest first"
            rows={seconds.at.map((at, index) => ({ at, index })).filter((row) => seconds.rate[row.index]).reverse().slice(0, 60)}
            columns={[
              { head: 'second', kind: 'number', cell: (row) => moment(row.at * 1000) },
              { head: 'answered', kind: 'number', cell: (row) => Math.round(seconds.rate[row.index]!) },
              { head: 'p50', kind: 'number', cell: (row) => time(seconds.p50[row.index] ?? Number.NaN) },
              { head: 'p95', kind: 'number', cell: (row) => time(seconds.p95[row.index] ?? Number.NaN) },
              { head: 'p99', kind: 'number', cell: (row) => time(seconds.p99[row.index] ?? Number.NaN) },
            ]}
          />
        }
      >
        <Readout
          figures={[
            { name: 'cold requests', value: String(gauge?.cold ?? 0), note: 'met something unwarmed', alarm: (gauge?.cold ?? 0) > 0 },
            { name: 'served', value: String(gauge?.served ?? 0) },
            { name: 'refused', value: String(gauge?.refused ?? 0), alarm: (gauge?.refused ?? 0) > 0 },
            { name: 'failed', value: String(gauge?.failed ?? 0), alarm: (gauge?.failed ?? 0) > 0 },
            { name: 'p50', value: figure(seconds.p50), note },
            { name: 'p95', value: figure(seconds.p95), note, alarm: latest >= 0 && seconds.p95[latest]! > slo },
            { name: 'p99', value: figure(seconds.p99), note },
            { name: 'a second', value: latest < 0 || note ? '0' : String(Math.round(seconds.rate[latest]!)), note: 'answered' },
          ]}
        />
        {latest < 0 && <Empty command="preheat bench">No request was answered in the last two minutes.</Empty>}
        {world.sampled && <p class="small">More came than a message holds: quantiles are of an even sample and every breach.</p>}
        <Chart label={label} lines={LATENCY} data={latency} height={240} log limit={{ at: slo, name: `SLO ${time(slo)}` }} />
      </Panel>
      <div class="columns">
        <Panel title="Inside and queued">
          <Chart
            label={`${gauge?.open ?? 0} requests inside, ${gauge?.queued_rows ?? 0} rows queued.`}
            lines={QUEUE}
            data={[level.at, level.open, level.queued]}
            height={180}
          />
        </Panel>
        <Panel title="Batches">
          <Chart
            label={`${gauge?.batches ?? 0} batches with ${gauge?.rows ?? 0} rows so far.`}
            lines={BATCH}
            data={[level.at, level.batch]}
            height={180}
          />
        </Panel>
      </div>
      <Command>{`curl -s ${location.origin}/metrics`}</Command>
    </>
  );
}
