// The colours of the page, for what is painted on a canvas. The same values stand in tokens.css for
// everything else; a test holds the two together and both to their contrasts.

export type Group = 'cold' | 'loading' | 'warming' | 'warm' | 'draining' | 'failed';

export interface Theme {
  ground: string;
  panel: string;
  ink: string;
  muted: string;
  edge: string;
  focus: string;
  /** Fill of each group. */
  fill: Record<Group, string>;
  /** Letters on it. */
  on: Record<Group, string>;
  /** "Failed" as a dot, a line or a word. */
  alarm: string;
}

const DARK_INK = '#0b0f14';
const WHITE = '#ffffff';

export const LIGHT: Theme = {
  ground: '#ffffff',
  panel: '#f6f8fa',
  ink: '#1a1f24',
  muted: '#57606a',
  edge: '#7d8590',
  focus: '#0d459d',
  fill: {
    cold: '#656769',
    loading: '#0d459d',
    warming: '#b98638',
    warm: '#449676',
    draining: '#451f58',
    failed: '#b01935',
  },
  on: {
    cold: WHITE,
    loading: WHITE,
    warming: DARK_INK,
    warm: DARK_INK,
    draining: WHITE,
    failed: WHITE,
  },
  alarm: '#b01935',
};

export const DARK: Theme = {
  ground: '#0f141a',
  panel: '#161b22',
  ink: '#e6edf3',
  muted: '#9aa4af',
  edge: '#768390',
  focus: '#8ab8ff',
  fill: {
    cold: '#b6c3ca',
    loading: '#3c81cb',
    warming: '#e97c12',
    warm: '#7cd49d',
    draining: '#9f5f8d',
    failed: '#c13c3c',
  },
  on: {
    cold: DARK_INK,
    loading: DARK_INK,
    warming: DARK_INK,
    warm: DARK_INK,
    draining: WHITE,
    failed: WHITE,
  },
  alarm: '#f07070',
};

const dark = typeof matchMedia === 'function' ? matchMedia('(prefers-color-scheme: dark)') : null;

export function theme(): Theme {
  return dark?.matches ? DARK : LIGHT;
}

/** Calls back when the colours have to be drawn anew. */
export function onTheme(changed: () => void): () => void {
  dark?.addEventListener('change', changed);
  return () => dark?.removeEventListener('change', changed);
}

export function group(phase: string): Group {
  switch (phase) {
    case 'starting':
    case 'fetching':
      return 'cold';
    case 'loading':
      return 'loading';
    case 'warming':
    case 'proving':
      return 'warming';
    case 'ready':
      return 'warm';
    case 'draining':
    case 'stopped':
      return 'draining';
    default:
      return 'failed';
  }
}

export const LETTER: Record<Group, string> = {
  cold: 'C',
  loading: 'L',
  warming: 'W',
  warm: 'R',
  draining: 'D',
  failed: '✕',
};

export const GROUPS: Group[] = ['cold', 'loading', 'warming', 'warm', 'draining', 'failed'];
