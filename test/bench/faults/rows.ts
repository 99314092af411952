/**
 * What the comparison of faults breaks, and under which load: fixed before the first comparison, the same for every
 * subject. Every replica does four calls at once, 20 ms each, and lines up more inside itself.
 */

import { type Behaviour, fails } from '../../drills/models/protocol.js';

export const SERVICE_MS = 20;
export const PLACES = 4;
export const DEADLINE_MS = 1_000;
/** Calls per second that one replica can serve. */
export const CAPACITY = (PLACES * 1_000) / SERVICE_MS;
export const MOST_REPLICAS = 3;
/** Of the schedule: when each call is due. Each run of a row has its own, the same for all subjects. */
export const SEED = 20_261;

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
const NO_VICTIM = { victims: 0, isToBeLeft: false } as const;

export const ROWS: readonly FaultRow[] = [
  { ...THREE, ...NO_VICTIM, name: 'healthy', title: 'nothing is wrong' },
  // What is dead has no log to be left alone in.
  {
    ...THREE,
    victims: 1,
    isToBeLeft: false,
    name: 'killed',
    title: 'one of 3 is killed',
    fault: { does: 'die' },
  },
  {
    ...THREE,
    ...ONE_LEFT,
    name: 'hang',
    title: 'one of 3 takes calls and never answers',
    fault: { does: 'hang' },
  },
  {
    ...THREE,
    ...ONE_LEFT,
    name: 'slow',
    title: 'one of 3 takes ten times as long',
    fault: { does: 'slow', factor: 10 },
  },
  {
    ...THREE,
    ...ONE_LEFT,
    name: 'errors',
    title: 'one of 3 fails, status in headers',
    fault: fails('trailers-only'),
  },
  {
    ...THREE,
    ...ONE_LEFT,
    name: 'late-errors',
    title: 'one of 3 fails, status in trailers',
    fault: fails('trailers'),
  },
  {
    ...{ ...THREE, ...ONE_LEFT, name: 'half', title: 'one of 3 fails every second call, status in headers' },
    fault: fails('trailers-only', 14, 0.5),
  },
  {
    ...TWO,
    ...ONE_LEFT,
    name: 'pair',
    title: 'one of 2 fails, status in headers',
    fault: fails('trailers-only'),
  },
  {
    ...TWO,
    ...NO_VICTIM,
    name: 'overload-2',
    title: 'twice what 2 can serve',
    faultPerSecond: 2 * 2 * CAPACITY,
  },
  {
    ...TWO,
    ...NO_VICTIM,
    name: 'overload-5',
    title: 'five times what 2 can serve',
    faultPerSecond: 5 * 2 * CAPACITY,
  },
  {
    ...{
      ...THREE,
      victims: 1,
      isToBeLeft: false,
      name: 'flapping',
      title: 'one of 3 fails and answers in turn, 0.5 s each',
    },
    fault: { does: 'flap', everyMs: 500, form: 'trailers-only' },
  },
  {
    ...THREE,
    victims: 3,
    isToBeLeft: false,
    name: 'all-fail',
    title: 'all fail, and then none',
    fault: fails('trailers-only'),
  },
];

export interface Times {
  readonly steadyMs: number;
  readonly faultMs: number;
  readonly healedMs: number;
}

export const FULL: Times = { steadyMs: 800, faultMs: 3_000, healedMs: 1_200 };
export const QUICK: Times = { steadyMs: 400, faultMs: 1_500, healedMs: 700 };
