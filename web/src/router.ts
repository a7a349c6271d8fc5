// Which page, and exactly which view of it: all in the fragment, so that a link opens it again.

export interface Place {
  page: string;
  query: URLSearchParams;
}

export function parse(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  return { page: path, query: new URLSearchParams(query) };
}

export function format(page: string, query: Record<string, string | undefined>): string {
  const kept = Object.entries(query).filter((pair): pair is [string, string] => !!pair[1]);
  const text = new URLSearchParams(kept).toString();
  return `#/${page}${text ? `?${text}` : ''}`;
}

/** Changes the address of this view without a step in the history. */
export function remember(page: string, query: Record<string, string | undefined>): void {
  const hash = format(page, query);
  if (hash !== location.hash) history.replaceState(null, '', hash);
}
