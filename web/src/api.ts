// Asking the listener that this page came from.

import type { components } from './api.gen';

type Schemas = components['schemas'];
export type Passport = Schemas['Passport'];
export type ModelReport = Schemas['ModelReport'];
export type CaseReport = Schemas['CaseReport'];
export type CheckReport = Schemas['CheckReport'];
export type ProofReport = Schemas['ProofReport'];
export type StageReport = Schemas['StageReport'];
export type PhaseEvent = Schemas['PhaseEvent'];
export type CaseEvent = Schemas['CaseEvent'];
export type RequestsEvent = Schemas['RequestsEvent'];
export type GaugesEvent = Schemas['GaugesEvent'];
export type Outcome = Schemas['Outcome'];

const KEY = 'preheat-admin-key';

/** What was asked, what came back, and what it means: for a person to read. */
export class Refused extends Error {
  constructor(
    readonly asked: string,
    readonly status: number,
    readonly detail: string,
  ) {
    super(`${asked}: ${status || 'no answer'}${detail ? `, ${detail}` : ''}`);
  }
}

export function keep(key: string): void {
  sessionStorage.setItem(KEY, key);
}

export function authorisation(): Record<string, string> {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
}

export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const asked = `${init.method ?? 'GET'} ${path}`;
  const headers = { ...authorisation(), ...(init.headers as Record<string, string>) };
  const answer = await fetch(`.${path}`, { cache: 'no-store', ...init, headers }).catch((error) => {
    if (init.signal?.aborted) throw error;
    throw new Refused(asked, 0, 'the listener does not answer');
  });
  if (!answer.ok) throw new Refused(asked, answer.status, detail(await answer.text()));
  return answer;
}

/** How things stand is told at once or never: a connection that hangs longer is dead. */
const PATIENCE = 10_000;

export async function askJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const late = new AbortController();
  const why = new Refused(`GET ${path}`, 0, `nothing came within ${PATIENCE / 1000} s`);
  const timer = setTimeout(() => late.abort(why), PATIENCE);
  const either = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  try {
    const answer = await ask(path, { signal: either });
    return (await answer.json()) as T;
  } finally {
    clearTimeout(timer);
  }
}

/** The sentence in an error body, whatever family it is of. */
export function detail(body: string): string {
  try {
    const json = JSON.parse(body);
    const text = json.detail ?? json.error?.message ?? json.error ?? '';
    return typeof text === 'string' ? text : '';
  } catch {
    return body.slice(0, 200);
  }
}
