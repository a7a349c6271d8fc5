// The frame around every page: which replica, how it stands, whether the picture is fresh.

import { useEffect, useRef, useState } from 'preact/hooks';
import { keep } from './api';
import { live, useLive } from './live';
import { parse, type Place } from './router';
import { ColdStart } from './pages/coldstart';
import { Costs } from './pages/costs';
import { Diff } from './pages/diff';
import { Fleet } from './pages/fleet';
import { Playground } from './pages/playground';
import { Readiness } from './pages/readiness';
import { RolloutPage } from './pages/rollout';
import { Traffic } from './pages/traffic';
import { Watch } from './pages/watch';
import { isTyping, Phase } from './ui/parts';
import { time } from './paint/scales';

const PAGES = [
  { id: 'watch', name: 'Watch', key: 'w', page: Watch },
  { id: 'start', name: 'Cold start', key: 's', page: ColdStart },
  { id: 'diff', name: 'Warm-up diff', key: 'd', page: Diff },
  { id: 'ready', name: 'Readiness and memory', key: 'r', page: Readiness },
  { id: 'traffic', name: 'Traffic', key: 't', page: Traffic },
  { id: 'fleet', name: 'Fleet', key: 'f', page: Fleet },
  { id: 'rollout', name: 'Rollout', key: 'o', page: RolloutPage },
  { id: 'costs', name: 'Costs', key: 'c', page: Costs },
  { id: 'play', name: 'Playground', key: 'p', page: Playground },
];

/** What a gateway shows, its own first; the others are of a replica. */
const OF_A_GATEWAY = ['fleet', 'rollout', 'watch', 'costs'];

export function App() {
  useLive();
  const place = usePlace();
  const [help, setHelp] = useState(false);
  useKeys(() => setHelp(true));
  const fleet = live.link.state === 'fleet';
  const pages = fleet ? OF_A_GATEWAY.map((id) => PAGES.find((page) => page.id === id)!) : PAGES;
  const current = pages.find((page) => page.id === place.page) ?? pages[0]!;
  const Page = current.page;
  const report = live.world.passport?.report;
  useEffect(() => {
    document.title = `${current.name} · ${(report?.model ?? 'preheat').slice(0, 80)}`;
  }, [current.name, report?.model]);
  useEffect(() => {
    // On a narrow screen the list of pages is wider than the screen.
    document.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [current.id]);
  return (
    <>
      <header class="top">
        <div class="line">
          <h1 class="name">{report?.model ?? 'preheat'}</h1>
          {report?.models[0]?.engine?.simulated && <span class="simulated">SIMULATED ENGINE</span>}
          {report && <Phase phase={report.phase} word={report.detail.slice(0, 160)} />}
          <LinkState />
        </div>
        <nav aria-label="Pages">
          <ul>
            {pages.map(({ id, name }) => (
              <li key={id}>
                <a href={`#/${id}`} aria-current={id === current.id ? 'page' : undefined}>
                  {name}
                </a>
              </li>
            ))}
            <li>
              <a
                href="#help"
                role="button"
                onClick={(event) => (event.preventDefault(), setHelp(true))}
              >
                Keys
              </a>
            </li>
          </ul>
        </nav>
      </header>
      <main class={live.link.state === 'waiting' ? 'stale' : ''}>
        {live.link.state === 'locked' && <KeyForm why={live.link.why} />}
        <Page place={place} key={current.id} />
      </main>
      <p class="visually-hidden" role="status" aria-live="polite">
        {report && `${report.phase}`}
      </p>
      {help && <Help close={() => setHelp(false)} />}
    </>
  );
}

function usePlace(): Place {
  const [place, set] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = () => {
      if (location.hash !== '#help') set(parse(location.hash));
    };
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return place;
}

/** `g` and a letter opens a page, `t` the tables, `?` this list. */
function useKeys(help: () => void): void {
  useEffect(() => {
    let going = false;
    const pressed = (event: KeyboardEvent) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (localStorage.getItem('preheat-keys') === 'off') return;
      const page = going && PAGES.find(({ key }) => key === event.key);
      if (page) location.hash = `#/${page.id}`;
      else if (event.key === '?') help();
      else if (event.key === 't') dispatchEvent(new Event('preheat:tables'));
      going = event.key === 'g' && !going;
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}

function LinkState() {
  const [, tick] = useState(0);
  const { link, world } = live;
  const waiting = link.state === 'waiting';
  useEffect(() => {
    if (!waiting) return;
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, [waiting]);
  const missed = world.missed > 0 ? ` · ${world.missed} events missed` : '';
  switch (link.state) {
    case 'live':
      return <span class="state muted">● live{missed}</span>;
    case 'opening':
      return <span class="state muted">◌ connecting</span>;
    case 'hidden':
      return <span class="state muted">◌ paused in the background</span>;
    case 'fleet':
      return <span class="state muted">a gateway</span>;
    case 'locked':
      return <span class="state">✕ a key is required</span>;
    case 'waiting': {
      const left = Math.max(0, Math.ceil((link.until - Date.now()) / 1000));
      const age = world.heard ? `, as of ${time(performance.now() - world.heard)} ago` : '';
      return (
        <span class="state" title={link.why}>
          ◌ reconnecting, try {link.tries} in {left} s{age}
        </span>
      );
    }
  }
}

function KeyForm({ why }: { why: string }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    keep(String(data.get('key') ?? ''));
    live.again();
  };
  return (
    <section class="panel" aria-label="Key">
      <h2>A key is required</h2>
      <p>{why || 'This replica answers its operators only.'} It is kept in this tab until you close it.</p>
      <form class="line" onSubmit={submit}>
        <label>
          Admin key <input name="key" type="password" autocomplete="off" required />
        </label>
        <button type="submit">Use it</button>
      </form>
    </section>
  );
}

const KEYS: [string, string][] = [
  ['?', 'this list'],
  ['g, then w s d r t f o c p', 'a page'],
  ['t', 'pictures as tables, and back'],
  ['Space', 'play or pause'],
  ['← →', 'one step; ten with Shift'],
  ['.', 'the next event'],
  ['b', 'the first breach of the objective'],
  ['Home, End', 'the beginning, the end'],
  ['/', 'filter'],
];

function Help({ close }: { close: () => void }) {
  const ref = useRef<HTMLDialogElement>(null);
  const [on, set] = useState(localStorage.getItem('preheat-keys') !== 'off');
  useEffect(() => ref.current?.showModal(), []);
  const toggle = () => {
    localStorage.setItem('preheat-keys', on ? 'off' : 'on');
    set(!on);
  };
  return (
    <dialog ref={ref} onClose={close} aria-label="Keys">
      <h2>Keys</h2>
      <table>
        <tbody>
          {KEYS.map(([key, what]) => (
            <tr key={key}>
              <th scope="row">{key}</th>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <div class="line">
        <label>
          <input type="checkbox" checked={on} onChange={toggle} /> keys are on
        </label>
        <button type="button" class="push" onClick={() => ref.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}
