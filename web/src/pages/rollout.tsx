// Is green fit, and who has the traffic?

import { useRef, useState } from 'preact/hooks';
import { ask, Refused } from '../api';
import { useLive } from '../live';
import { time } from '../paint/scales';
import { type Service, useFleet } from '../stream/fleet';
import { brokenAt, type Gate, gates, hadUsers, isOver, limit, type Rollout, serving, STEPS, stepOf } from '../stream/rollout';
import { Command, Empty, Panel, Table } from '../ui/parts';
import { FleetProblem, Last } from './fleet';

export function RolloutPage() {
  useLive();
  const [answer, again] = useFleet();
  if (answer.kind === 'asking') return <Panel title="Rollout"><p>Asking for services.</p></Panel>;
  if (answer.kind === 'problem') return <FleetProblem title="Rollout" why={answer.why} again={again} />;
  if (answer.kind === 'none') {
    return (
      <Panel title="Rollout">
        <p>This page comes from one replica. A gateway rolls out: from one revision to the next, as a set.</p>
      </Panel>
    );
  }
  return (
    <Last lost={answer.lost}>
      {answer.services.map((service) => (
        <One key={service.name} service={service} again={again} />
      ))}
      <Command>preheat status --watch</Command>
    </Last>
  );
}

function One({ service, again }: { service: Service; again: () => void }) {
  const { rollout } = service;
  if (!rollout) {
    return (
      <Panel title={service.name}>
        <Empty command={`preheat rollout ${service.name} --to MODEL`}>No rollout so far.</Empty>
      </Panel>
    );
  }
  return (
    <Panel title={service.name} table={<Twin rollout={rollout} />}>
      <Steps rollout={rollout} />
      <p>
        <Verdict rollout={rollout} /> {rollout.detail}
      </p>
      <Traffic rollout={rollout} />
      <Latency rollout={rollout} />
      <Gates list={gates(rollout)} />
      <Verbs service={service.name} rollout={rollout} again={again} />
    </Panel>
  );
}

function Steps({ rollout }: { rollout: Rollout }) {
  const at = stepOf(rollout.stage);
  const broken = brokenAt(rollout);
  const word = rollout.stage.replace('_', ' ');
  const label = at < 0 ? word : `step ${Math.min(at + 1, STEPS.length)} of ${STEPS.length}: ${word}`;
  return (
    <ol class="steps" aria-label={label}>
      {STEPS.map(({ name }, index) => {
        const state =
          index === broken ? 'failed' : index < Math.max(at, broken) ? 'done' : index === at ? 'doing' : 'todo';
        const fill = { done: 'warm', doing: 'warming', todo: 'cold', failed: 'failed' }[state];
        return (
          <li key={name} class={state}>
            <span class={`mark ${fill}`} aria-hidden="true">
              {{ done: '✓', doing: '▶', todo: '·', failed: '✕' }[state]}
            </span>
            {index + 1} {name}
            {index === 1 && ` ${rollout.proven}/${rollout.size}`}
            {index === at && ` ${elapsed(rollout)}`}
          </li>
        );
      })}
    </ol>
  );
}

function elapsed({ stage_ms, limit_ms }: Rollout): string {
  return limit_ms ? `${time(stage_ms)} of ${time(limit_ms)}` : time(stage_ms);
}

function Verdict({ rollout }: { rollout: Rollout }) {
  const { stage } = rollout;
  if (stage === 'promoted') return <strong>✓ Green serves, blue is gone.</strong>;
  if (stepOf(stage) >= 0) {
    const green = serving(rollout) === 'green';
    return <span>{green ? 'Green serves; blue stands by.' : 'Blue serves; green has no traffic.'}</span>;
  }
  const words = hadUsers(rollout) ? 'Back to blue.' : 'Green was refused: it never had a user’s request.';
  return <strong class="alarm">✕ {words}</strong>;
}

const COLOUR = { blue: 'loading', green: 'warm' };

/** Who has the traffic; names and figures beside the bars. */
function Traffic({ rollout }: { rollout: Rollout }) {
  const sides = [
    { side: 'blue', revision: rollout.from, source: rollout.from_source },
    { side: 'green', revision: rollout.to, source: rollout.to_source },
  ] as const;
  return (
    <div class="waterfall">
      {sides.map(({ side, revision, source }) => {
        const share = serving(rollout) === side ? 100 : 0;
        return (
          <div class="row" key={side}>
            <span class="small">
              {side} <span class="mono name">{revision.slice(0, 12)}</span>
            </span>
            <svg class="lane" height="18" role="img" aria-label={`${side} has ${share} % of the traffic`}>
              <rect class="track" x="0" width="100%" y="2" height="14" />
              <rect class={`bar ${COLOUR[side]}`} x="0" width={`${share}%`} y="2" height="14" />
            </svg>
            <span class="figures small">
              {share} % of the traffic · {source.slice(0, 200)}
            </span>
          </div>
        );
      })}
    </div>
  );
}

/** p95 of both against what green must stay under, on one axis. */
function Latency({ rollout }: { rollout: Rollout }) {
  const { seen, limits } = rollout;
  if (!seen?.requests) return null;
  const most = limits ? limit(limits, seen.blue_p95_ms) : null;
  const marks = limits && most !== null ? [...new Set([limits.slo_p95_ms, most])] : [];
  const right = 1.15 * Math.max(seen.p95_ms, seen.blue_p95_ms, ...marks);
  const x = (ms: number) => `${(100 * ms) / right}%`;
  const words = limits && most !== null ? `; green may be ${time(most)}, the objective is ${time(limits.slo_p95_ms)}` : '';
  // A side that nobody has asked has no figure.
  const shown = (ms: number) => (ms ? time(ms) : '–');
  const label = `p95: blue ${shown(seen.blue_p95_ms)}, green ${shown(seen.p95_ms)}${words}`;
  const lines: [string, number, string | undefined][] = [
    ['blue', seen.blue_p95_ms, undefined],
    ['green', seen.p95_ms, '6 4'],
  ];
  return (
    <>
      <h3>p95</h3>
      <svg class="lane" height="66" role="img" aria-label={label}>
        {lines.map(([name, ms, dash], index) => (
          <g key={name}>
            <line class="line-ink" x1="0" x2={x(ms)} y1={24 + index * 26} y2={24 + index * 26} stroke-dasharray={dash} />
            <text class="axis" x="0" y={18 + index * 26}>
              {name} {shown(ms)}
            </text>
          </g>
        ))}
        {marks.map((ms) => (
          <line key={ms} class="line-alarm" x1={x(ms)} x2={x(ms)} y1="6" y2="58" />
        ))}
      </svg>
      {limits && most !== null && (
        <p class="muted small">
          red: green may be {time(most)} (the objective {time(limits.slo_p95_ms)}, and {limits.max_ratio} × blue)
        </p>
      )}
    </>
  );
}

function Gates({ list }: { list: Gate[] }) {
  return (
    <ul class="checks gates" aria-label="What green has to pass">
      {list.map(({ name, ok, value, limit }) => (
        <li key={name}>
          <span aria-hidden="true">{ok === null ? '…' : ok ? '✓' : '✕'}</span>
          <span class="visually-hidden">{ok === null ? 'not known yet' : ok ? 'holds' : 'missed'}</span>
          <span>{name}</span>
          <span class="figures">
            <span class={ok === false ? 'alarm' : ''}>{value}</span>, limit {limit}
          </span>
        </li>
      ))}
    </ul>
  );
}

function Twin({ rollout }: { rollout: Rollout }) {
  return (
    <Table
      caption={`Rollout from ${rollout.from} to ${rollout.to}: ${rollout.stage}`}
      rows={gates(rollout)}
      columns={[
        { head: 'gate', cell: (gate) => gate.name },
        { head: 'holds', cell: (gate) => (gate.ok === null ? 'not known yet' : gate.ok ? 'yes' : 'no') },
        { head: 'value', kind: 'number', cell: (gate) => gate.value },
        { head: 'limit', kind: 'number', cell: (gate) => gate.limit },
      ]}
    />
  );
}

interface VerbsProps {
  service: string;
  rollout: Rollout;
  again: () => void;
}

/** What a person may wish in this stage; asked once more before it is done. */
function Verbs({ service, rollout, again }: VerbsProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [verb, setVerb] = useState<'rollback' | 'promote'>('rollback');
  const [problem, setProblem] = useState('');
  if (isOver(rollout) || stepOf(rollout.stage) < 0) return null;
  const open = (next: typeof verb) => {
    setVerb(next);
    setProblem('');
    dialog.current?.showModal();
  };
  const act = async () => {
    dialog.current?.close();
    try {
      const headers = { 'content-type': 'application/json' };
      await ask(`/v1/services/${encodeURIComponent(service)}:${verb}`, { method: 'POST', headers, body: '{}' });
    } catch (error) {
      setProblem(error instanceof Refused ? error.message : String(error));
    }
    again();
  };
  const words = { rollback: 'Roll back', promote: 'Promote' };
  return (
    <>
      <p class="line">
        <button type="button" onClick={() => open('rollback')}>Roll back…</button>
        {serving(rollout) === 'green' && <button type="button" onClick={() => open('promote')}>Promote…</button>}
      </p>
      {problem && <p role="alert">{problem}</p>}
      <dialog ref={dialog} aria-label={words[verb]}>
        <p>
          {verb === 'rollback'
            ? `All traffic of ${service.slice(0, 80)} goes to blue, and green is stopped.`
            : `Green keeps the traffic of ${service.slice(0, 80)}, and blue is stopped: there is no way back after that.`}
        </p>
        <div class="line">
          <button type="button" onClick={act}>{words[verb]}</button>
          <button type="button" class="push" onClick={() => dialog.current?.close()}>Leave it</button>
        </div>
      </dialog>
    </>
  );
}
