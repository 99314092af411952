import { tapProblem } from '../../admin/tap.js';
import { nearest } from '../../config/suggest.js';
import { CommandFailure } from '../failure.js';

/** Names of a filter, as an operator writes them, with the parameter of `/tap` that each is. */
const NAMES: Readonly<Record<string, string>> = {
  upstream: 'service',
  service: 'service',
  route: 'method',
  method: 'method',
  model: 'model',
  status: 'status',
  reason: 'reason',
  direction: 'direction',
  slow: 'slow',
};

/** Words without a value. */
const WORDS: Readonly<Record<string, readonly [parameter: string, value: string]>> = {
  failed: ['failed', ''],
  errors: ['failed', ''],
  inbound: ['direction', 'inbound'],
  outbound: ['direction', 'outbound'],
};

/** The bounds of a tap, as given on the command line. */
export interface TapBounds {
  readonly sample?: string;
  readonly rate?: string;
}

/**
 * The query of `/tap` for the words of a filter: `upstream=digits`, `status=unavailable`, `slow=100ms`, `failed` … Each has to
 * fit. Values are judged as the sidecar judges them.
 *
 * @throws CommandFailure(2) for a word that is none of them, and for a value.
 */
export function tapQuery(words: readonly string[], { sample, rate }: TapBounds): URLSearchParams {
  const query = new URLSearchParams();
  for (const word of words) {
    const at = word.indexOf('=');
    const [parameter, value] = at < 0 ? (WORDS[word] ?? []) : [NAMES[word.slice(0, at)], word.slice(at + 1)];
    if (parameter === undefined || value === undefined) throw new CommandFailure(unknown(word), 2);
    query.set(parameter, value);
  }
  if (sample !== undefined) query.set('sample', sample);
  if (rate !== undefined) query.set('rate', rate);
  const problem = tapProblem(query);
  if (problem !== undefined) throw new CommandFailure(problem.replace(/^(?=(?:sample|rate): )/, '--'), 2);
  return query;
}

/** Says what was found and all that is known: filters are few, and seldom typed. */
function unknown(word: string): string {
  const known = [...Object.keys(NAMES), ...Object.keys(WORDS)];
  const near = nearest(word.split('=', 1)[0]!, known);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  const forms = `${Object.keys(NAMES).join('=, ')}=, ${Object.keys(WORDS).join(', ')}`;
  return `unknown filter "${word}"${hint}; expected ${forms}`;
}
