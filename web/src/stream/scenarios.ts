// The shipped scenarios, simulated beforehand: the same policies, the same seed, nothing measured.
// `preheat simulate examples/simulate/NAME.toml --trace …` writes each; a test holds them together.

import { ask } from '../api';
import sevenB from '../traces/7b.ndjson?url';
import badGate from '../traces/bad-gate.ndjson?url';
import scaleToZero from '../traces/scale-to-zero.ndjson?url';
import spike from '../traces/spike.ndjson?url';
import { readTrace, type Trace } from './trace';

export interface Shipped {
  id: string;
  name: string;
  url: string;
}

export const SHIPPED: Shipped[] = [
  { id: '7b', name: '7B model, one replica more', url: sevenB },
  { id: 'spike', name: 'from one replica to six', url: spike },
  { id: 'scale-to-zero', name: 'a burst at zero', url: scaleToZero },
  { id: 'bad-gate', name: 'ready once the weights are loaded', url: badGate },
];

/** One of them, by its name in an address. */
export async function shipped(id: string): Promise<Trace> {
  const found = SHIPPED.find((scenario) => scenario.id === id);
  if (!found) throw new Error(`there is no scenario ${id.slice(0, 40)}`);
  return readTrace(await (await ask(`/${relative(found.url)}`)).text());
}

/** The file's path below the page: the listener may stand behind a prefix. */
function relative(url: string): string {
  return `assets/${url.split('/').pop() ?? ''}`;
}
