/**
 * What a replica was at one time, as one letter of a strip: as it says itself, and as its callers see it.
 */
export type ReplicaState = 'ready' | 'suspect' | 'down' | 'ejected' | 'draining' | 'restarting';

/** The letter of each state, from the least to the most severe. `none`: nobody looked. */
const LETTERS = {
  none: '-',
  ready: 'r',
  suspect: 's',
  down: 'n',
  ejected: 'e',
  draining: 'd',
  restarting: 'x',
};

const NAMES = Object.keys(LETTERS) as (ReplicaState | 'none')[];
const ALL = Object.values(LETTERS).join('');

/** The code of a state in a ring: 0 for none, higher is more severe. */
export function stateCode(state: ReplicaState | 'none'): number {
  return NAMES.indexOf(state);
}

/** The state of a code; a code that is unknown is `none`. */
export function stateOfCode(code: number): ReplicaState | 'none' {
  return NAMES[code] ?? 'none';
}

/** Codes as text, one letter each, for an answer. */
export function lettersOf(codes: ArrayLike<number>): string {
  return Array.from(codes, (code) => ALL[code] ?? '-').join('');
}

/** The code of a letter; one that is unknown, such as that of a newer sidecar, is `none`. */
export function codeOfLetter(letter: string): number {
  return Math.max(0, ALL.indexOf(letter));
}
