// What would the first user have paid?

import type { CaseReport, CheckReport, ProofReport } from '../api';
import { useLive } from '../live';
import { logTicks, time } from '../paint/scales';
import { Command, Empty, Panel, Readout } from '../ui/parts';

export function Diff() {
  const { world } = useLive();
  const model = world.passport?.report.models[0];
  const first = world.checks.find((check) => check.id === 'P3');
  const cases = [...(model?.cases ?? [])].sort((a, b) => saved(b) - saved(a));
  const range = bounds(cases);
  return (
    <>
      <Panel title="Warm-up diff">
        {model && <Summary proof={model.proof} cases={cases} first={first} />}
        {!cases.length || !range ? (
          <Empty command="preheat warm MODEL">No case of the warm-up has ended so far.</Empty>
        ) : (
          <div class="scroll stacks pairs" tabIndex={0} role="group" aria-label="Table">
            <table class="diff">
              <caption class="visually-hidden">First and steady time of each case, by what was saved</caption>
              <thead>
                <tr>
                  <th scope="col">case</th>
                  <th scope="col">shape</th>
                  <th scope="col">path</th>
                  <th scope="col" class="axis">
                    <LogAxis low={range[0]} high={range[1]} />
                  </th>
                  <th scope="col" class="number">first</th>
                  <th scope="col" class="number">steady</th>
                  <th scope="col" class="number">ratio</th>
                  <th scope="col" class="number">saved</th>
                </tr>
              </thead>
              <tbody>
                {cases.map((one, index) => (
                  <tr key={index}>
                    <td class="text">{one.name}</td>
                    <td data-head="shape">{one.shape.replace('x', '×')}</td>
                    <td data-head="path">{typeof one.instance === 'number' ? `${one.path} ${one.instance}` : one.path}</td>
                    <td class="picture">
                      {one.output.ok ? (
                        <Dumbbell one={one} low={range[0]} high={range[1]} />
                      ) : (
                        <span class="alarm">✕ wrong output: {one.output.shape.join(' × ')}</span>
                      )}
                    </td>
                    <td class="number" data-head="first">{time(one.first_ms)}</td>
                    <td class="number" data-head="steady">{time(one.steady_ms)}</td>
                    <td class="number" data-head="ratio">{one.ratio.toFixed(2)}×</td>
                    <td class="number" data-head="saved">{time(saved(one))}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        <p class="muted small">
          ◇ first · · rounds · ● steady. The axis is logarithmic, which hides ratios: they stand in the table.
          Sorted by what was saved; 0 where the first run was no slower.
        </p>
        {model?.notes.map((note) => (
          <p key={note} class="small">
            {note}
          </p>
        ))}
      </Panel>
      <Command>preheat status</Command>
    </>
  );
}

/** What the first user would have paid on top; never less than nothing. */
export function saved(one: CaseReport): number {
  return Math.max(0, one.first_ms - one.steady_ms);
}

interface SummaryProps {
  proof: ProofReport;
  cases: CaseReport[];
  first: CheckReport | undefined;
}

function Summary({ proof, cases, first }: SummaryProps) {
  const worst = cases.reduce<CaseReport | null>((m, c) => (c.ratio > (m?.ratio ?? 0) ? c : m), null);
  const number = (ms: number | null | undefined) => (typeof ms === 'number' ? time(ms) : '–');
  return (
    <Readout
      figures={[
        { name: 'saved', value: number(proof.saved_ms), note: 'on the first requests' },
        { name: 'highest ratio', value: worst ? `${worst.ratio.toFixed(2)}×` : '–', note: worst?.name },
        {
          name: '▷ first after',
          value: number(proof.first_request_ms),
          note: first ? `of all doors and shapes at most ${first.value}, limit ${first.limit}` : 'not measured yet',
        },
        { name: 'steady', value: number(proof.steady_ms), note: 'through the front door' },
      ]}
    />
  );
}

function bounds(cases: CaseReport[]): [number, number] | null {
  const all = cases.flatMap((c) => [c.first_ms, c.steady_ms, ...c.rounds_ms]).filter((ms) => ms > 0);
  if (!all.length) return null;
  const low = 10 ** Math.floor(Math.log10(Math.min(...all)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...all) * 1.001));
  return [low, high];
}

function place(ms: number, low: number, high: number): string {
  const share = Math.log(Math.max(low, ms) / low) / Math.log(high / low);
  return `${2 + 96 * Math.min(1, Math.max(0, share))}%`;
}

function LogAxis({ low, high }: { low: number; high: number }) {
  const decades = logTicks(low, high).filter((tick) => /^1e/.test(tick.toExponential()));
  return (
    <svg class="lane" height="16" role="img" aria-label={`logarithmic from ${time(low)} to ${time(high)}`}>
      {decades.map((tick, index) => (
        <text
          key={tick}
          class="axis"
          x={place(tick, low, high)}
          y="12"
          text-anchor={index === 0 ? 'start' : index === decades.length - 1 ? 'end' : 'middle'}
        >
          {time(tick)}
          {index === 0 ? ' (log)' : ''}
        </text>
      ))}
    </svg>
  );
}

function Dumbbell({ one, low, high }: { one: CaseReport; low: number; high: number }) {
  const x = (ms: number) => place(ms, low, high);
  const [first, steady] = [x(one.first_ms), x(one.steady_ms)];
  return (
    <svg class="lane" height="20" aria-hidden="true">
      {logTicks(low, high).map((tick) => (
        <line key={tick} class="grid" x1={x(tick)} x2={x(tick)} y1="0" y2="20" />
      ))}
      <line class="stem" x1={first} x2={steady} y1="10" y2="10" />
      {one.rounds_ms.slice(1).map((ms, index) => (
        <circle key={index} class="round" cx={x(ms)} cy="10" r="2" />
      ))}
      <circle class="steady" cx={steady} cy="10" r="4.5" />
      <svg x={first} y="10" overflow="visible">
        <path class="first" d="M0 -6 L6 0 L0 6 L-6 0 Z" />
      </svg>
    </svg>
  );
}
