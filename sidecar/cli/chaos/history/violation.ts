/**
 * The invariants and how a broken one is told. Texts of a violation are for people: they name times and bounds with their units.
 */
import type { ArmName } from './record.js';

/** The invariants in the order of reports, with what each one promises. */
export const INVARIANTS = {
  'answered-once': 'Each call is answered exactly once.',
  'executed-once': 'A call that must not be executed twice is executed at most once.',
  'right-caller': 'An answer goes to the call that asked for it.',
  'deadline-kept':
    'A call is over by its deadline, within 50 ms and the measured lateness of the client itself.',
  'degraded-marked': 'An answer of a stand-in, or one that no model computed, says that it is degraded.',
  'ejected-left-alone':
    'An ejected endpoint gets no calls later than the bound after its ejection, except probes.',
  'well-left-alone': 'Where nothing is wrong, no endpoint is ejected and no process ends.',
  'history-sound': 'The records agree with each other, so that the other invariants can be judged.',
} as const;

export type Invariant = keyof typeof INVARIANTS;

/** One call that broke one invariant. */
export interface Violation {
  readonly invariant: Invariant;
  readonly drill: string;
  readonly arm: ArmName;
  /** The call; for `ejected-left-alone` the call that was sent there, for `well-left-alone` none. */
  readonly callId: string;
  /** What had to hold, in words, with the figures of the bound. */
  readonly expected: string;
  /** What was recorded instead. */
  readonly found: string;
}

/** A finding of one check, which knows neither drill nor arm. */
export type Finding = Pick<Violation, 'callId' | 'expected' | 'found'>;

/** A finding with the invariant that it breaks. */
export type Broken = Omit<Violation, 'drill' | 'arm'>;

/** Milliseconds for a text: whole ones, below ten with one decimal. */
export function ms(value: number): string {
  return `${Math.abs(value) < 10 ? Math.round(value * 10) / 10 : Math.round(value)} ms`;
}
