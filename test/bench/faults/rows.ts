/**
 * What the comparison of faults breaks, and under which load: fixed before the first comparison, the same for every
 * subject. Every replica does four calls at once, 20 ms each, and lines up more inside itself.
 */

import type { Times } from '../../../sidecar/cli/chaos/drills/drill.js';
import { type Behaviour, fails } from '../../../sidecar/cli/chaos/protocol/behaviour.js';

export const SERVICE_MS = 20;
export const PLACES = 4;
export const DEADLINE_MS = 1_000;
/** Calls per second that one replica can serve. */
export const CAPACITY = (PLACES * 1_000) / SERVICE_MS;
export const MOST_REPLICAS = 3;
/** Of the schedule: when each call is due. Each run of a row has its own, the same for all subjects. */
export const SEED = 20_261;

/** One row: which replicas get which fault under which load. */
export interface FaultRow {
  readonly name: string;
  readonly title: string;
  readonly replicas: number;
  /** Before, and after. */
  readonly perSecond: number;
  /** While it lasts; absent: as before. */
  readonly faultPerSecond?: number;
  /** How many replicas it is about, from the first. */
  readonly victims: number;
  /** Absent: nothing but the load changes. */
  readonly fault?: Behaviour | { readonly does: 'die' };
  /** The victim should get no more calls. */
  readonly isToBeLeft: boolean;
}

const THREE = { replicas: 3, perSecond: 240 } as const;
const TWO = { replicas: 2, perSecond: 120 } as const;
const ONE_LEFT = { victims: 1, isToBeLeft: true } as const;
const ONE_OF_3 = { ...THREE, ...ONE_LEFT } as const;
const ONE_STAYS = { victims: 1, isToBeLeft: false } as const;
const ALL_STAY = { victims: 3, isToBeLeft: false } as const;
const NO_VICTIM = { victims: 0, isToBeLeft: false } as const;

function row(name: string, title: string, rest: Omit<FaultRow, 'name' | 'title'>): FaultRow {
  return { name, title, ...rest };
}

/** All rows, in the order of the table. */
export const ROWS: readonly FaultRow[] = [
  row('healthy', 'nothing is wrong', { ...THREE, ...NO_VICTIM }),
  // A dead replica writes no log in which to see that calls stay away.
  row('killed', 'one of 3 is killed', { ...THREE, ...ONE_STAYS, fault: { does: 'die' } }),
  row('hang', 'one of 3 takes calls and never answers', { ...ONE_OF_3, fault: { does: 'hang' } }),
  row('slow', 'one of 3 takes ten times as long', { ...ONE_OF_3, fault: { does: 'slow', factor: 10 } }),
  row('errors', 'one of 3 fails, status in headers', { ...ONE_OF_3, fault: fails('trailers-only') }),
  row('late-errors', 'one of 3 fails, status in trailers', { ...ONE_OF_3, fault: fails('trailers') }),
  row('half', 'one of 3 fails every second call, status in headers', {
    ...ONE_OF_3,
    fault: fails('trailers-only', { share: 0.5 }),
  }),
  row('pair', 'one of 2 fails, status in headers', { ...TWO, ...ONE_LEFT, fault: fails('trailers-only') }),
  row('overload-2', 'twice what 2 can serve', { ...TWO, ...NO_VICTIM, faultPerSecond: 2 * 2 * CAPACITY }),
  row('overload-5', 'five times what 2 can serve', {
    ...TWO,
    ...NO_VICTIM,
    faultPerSecond: 5 * 2 * CAPACITY,
  }),
  row('flapping', 'one of 3 fails and answers in turn, 0.5 s each', {
    ...THREE,
    ...ONE_STAYS,
    fault: fails('trailers-only', { turnMs: 500 }),
  }),
  row('all-fail', 'all fail, and then none', { ...THREE, ...ALL_STAY, fault: fails('trailers-only') }),
];

/** Lengths of the three parts of a row. */
export const FULL: Times = { steadyMs: 800, faultMs: 3_000, healedMs: 1_200 };
export const QUICK: Times = { steadyMs: 400, faultMs: 1_500, healedMs: 700 };
