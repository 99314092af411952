/**
 * How far a certificate's life has gone, and what follows: from half of it on its renewal is watched for, from 20 % left
 * on its age is a problem that is said aloud, after its end it is presented to nobody.
 */
import { isoTime } from '../x509/chain.js';

export type ValidityPhase = 'fresh' | 'renewing' | 'low' | 'expired';

/** Of an `Identity`, or of anything else that is valid for a time. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Share of the life left at which each phase begins. */
const RENEWING_RATIO = 0.5;
const LOW_RATIO = 0.2;
/** In `renewing` and `low` we look this often in a life; after it, every few seconds. */
const LOOKS_PER_LIFE = { fresh: 0, renewing: 20, low: 100, expired: 0 } as const;
const LOOK_MIN_MS = 5_000;
const EXPIRED_LOOK_MS = 3_000;

export function validityPhase(life: Validity, wallNowMs: number): ValidityPhase {
  const left = life.notAfterMs - wallNowMs;
  const whole = life.notAfterMs - life.notBeforeMs;
  // Written so that a clock that is no number counts as late.
  if (!(left >= 0)) return 'expired';
  if (left < LOW_RATIO * whole) return 'low';
  return left < RENEWING_RATIO * whole ? 'renewing' : 'fresh';
}

/** How long to wait until the next look for a new certificate, ms, ± 20 %. Infinity while it is fresh. */
export function nextCheckMs(life: Validity, phase: ValidityPhase, random: () => number): number {
  if (phase === 'fresh') return Number.POSITIVE_INFINITY;
  const whole = life.notAfterMs - life.notBeforeMs;
  const base = phase === 'expired' ? EXPIRED_LOOK_MS : Math.max(LOOK_MIN_MS, whole / LOOKS_PER_LIFE[phase]);
  return base * (0.8 + 0.4 * random());
}

/** From now to the next change of phase, ms, at least 1; Infinity after the end. */
export function phaseEndsInMs(life: Validity, wallNowMs: number): number {
  const whole = life.notAfterMs - life.notBeforeMs;
  const ends = [RENEWING_RATIO, LOW_RATIO, 0].map((ratio) => life.notAfterMs - ratio * whole - wallNowMs + 1);
  return Math.max(1, Math.min(...ends.filter((ms) => ms > 0)));
}

/** The problem that our certificate has by age alone; `want`: what should have come, in words to end the sentence. */
export function expiryWarning(life: Validity, wallNowMs: number, want: string): string | undefined {
  const phase = validityPhase(life, wallNowMs);
  if (phase === 'expired') {
    return `our certificate expired at ${isoTime(life.notAfterMs)}; ${want}`;
  }
  if (phase !== 'low') return undefined;
  const left = Math.ceil((life.notAfterMs - wallNowMs) / 1000);
  return `our certificate expires in ${left} s; ${want}`;
}
