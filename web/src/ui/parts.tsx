// What pages are made of.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { group, LETTER } from '../theme/colours';

interface PanelProps {
  title: string;
  /** The table that says the same; `t` or the button shows it. */
  table?: ComponentChildren;
  aside?: ComponentChildren;
  children: ComponentChildren;
}

/** A picture and its table twin. */
export function Panel({ title, table, aside, children }: PanelProps) {
  const [shown, show] = useState(false);
  useEffect(() => {
    if (!table) return;
    const toggle = () => show((old) => !old);
    addEventListener('preheat:tables', toggle);
    return () => removeEventListener('preheat:tables', toggle);
  }, [!!table]);
  return (
    <section class="panel" aria-label={title}>
      <div class="line">
        <h2>{title}</h2>
        {aside}
        {table && (
          <button type="button" class="push" aria-pressed={shown} onClick={() => show(!shown)}>
            table
          </button>
        )}
      </div>
      {shown && table ? <div class="scroll" tabIndex={0} role="group" aria-label="Table">{table}</div> : children}
    </section>
  );
}

export function Phase({ phase, word }: { phase: string; word?: string }) {
  const which = group(phase);
  return (
    <span class="phase">
      <span class={`mark ${which}`} aria-hidden="true">
        {LETTER[which]}
      </span>
      <span>{word ?? phase}</span>
    </span>
  );
}

export function Empty({ children, command }: { children: ComponentChildren; command?: string }) {
  return (
    <p>
      {children}
      {command && (
        <>
          {' '}
          <code>$ {command}</code>
        </>
      )}
    </p>
  );
}

export function Command({ children }: { children: string }) {
  return <code class="muted small">$ {children}</code>;
}

export interface Figure {
  name: string;
  value: string;
  note?: string;
  alarm?: boolean;
}

export function Readout({ figures }: { figures: Figure[] }) {
  return (
    <dl class="readout">
      {figures.map(({ name, value, note, alarm }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={alarm ? 'alarm' : ''}>
            {alarm && '▲ '}
            {value} {note && <small>{note}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

export interface Column<T> {
  head: string;
  cell: (row: T) => ComponentChildren;
  kind?: 'number' | 'text' | 'prose';
}

export function Table<T>({ rows, columns, caption }: { rows: T[]; columns: Column<T>[]; caption: string }) {
  return (
    <table>
      <caption class="visually-hidden">{caption}</caption>
      <thead>
        <tr>
          {columns.map(({ head, kind }) => (
            <th key={head} scope="col" class={kind ?? ''}>
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, index) => (
          <tr key={index}>
            {columns.map(({ head, cell, kind }) => (
              <td key={head} class={kind ?? ''} data-head={head}>
                {cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Keys are the field's while a person types, and the page's otherwise. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return !!target?.closest('input:not([type="range"]), textarea, select, [contenteditable]');
}

export function reducedMotion(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
