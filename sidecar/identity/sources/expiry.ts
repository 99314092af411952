import { isoTime } from '../x509/chain.js';

/**
 * Phase of a certificate's validity: `renewing` from half of it on (a new one is looked for), `low`
 * from 20 % left on (its age is reported as a warning), `expired` after its end (it is no longer
 * presented).
 */
export type ValidityPhase = 'fresh' | 'renewing' | 'low' | 'expired';

/** The validity of a certificate, epoch ms; an `Identity` has it. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Share of the validity left at which each phase begins. */
const RENEWING_RATIO = 0.5;
const LOW_RATIO = 0.2;
/** Checks for a new certificate during a whole validity, by phase; after its end, one every 3 s. */
const CHECKS_PER_VALIDITY = { fresh: 0, renewing: 20, low: 100, expired: 0 } as const;
const CHECK_MIN_MS = 5_000;
const EXPIRED_CHECK_MS = 3_000;

/** The phase at a wall-clock time. A time that is no number counts as expired. */
export function validityPhase(validity: Validity, wallNowMs: number): ValidityPhase {
  const left = validity.notAfterMs - wallNowMs;
  const whole = validity.notAfterMs - validity.notBeforeMs;
  if (!(left >= 0)) return 'expired';
  if (left < LOW_RATIO * whole) return 'low';
  return left < RENEWING_RATIO * whole ? 'renewing' : 'fresh';
}

/** Time until the next check for a new certificate, ms, ± 20 %. Infinity while it is fresh. */
export function nextCheckMs(validity: Validity, phase: ValidityPhase, random: () => number): number {
  if (phase === 'fresh') return Number.POSITIVE_INFINITY;
  const whole = validity.notAfterMs - validity.notBeforeMs;
  const base =
    phase === 'expired' ? EXPIRED_CHECK_MS : Math.max(CHECK_MIN_MS, whole / CHECKS_PER_VALIDITY[phase]);
  return base * (0.8 + 0.4 * random());
}

/** Time until the next phase, ms, at least 1; Infinity after the end. */
export function phaseEndsInMs(validity: Validity, wallNowMs: number): number {
  const whole = validity.notAfterMs - validity.notBeforeMs;
  const ends = [RENEWING_RATIO, LOW_RATIO, 0].map(
    (ratio) => validity.notAfterMs - ratio * whole - wallNowMs + 1,
  );
  return Math.max(1, Math.min(...ends.filter((ms) => ms > 0)));
}

/** What the age of a certificate says, in one line; empty while it is young. */
export interface AgeReport {
  /** It has expired: it cannot be used. */
  readonly problem?: string;
  /** It is low. It still works, so this is no reason against readiness: all replicas reach this age together. */
  readonly warning?: string;
}

/** @param want what is missing, at the end of the sentence, such as `its files hold no new one`. */
export function ageReport(validity: Validity, wallNowMs: number, want: string): AgeReport {
  const phase = validityPhase(validity, wallNowMs);
  if (phase === 'expired')
    return { problem: `our certificate expired at ${isoTime(validity.notAfterMs)}; ${want}` };
  if (phase !== 'low') return {};
  const left = Math.ceil((validity.notAfterMs - wallNowMs) / 1000);
  return { warning: `our certificate expires in ${left} s; ${want}` };
}
