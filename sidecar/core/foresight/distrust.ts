/** Why suspects keep their share. */
export const DISTRUST_REASONS = ['observed', 'shared', 'full'] as const;
export type NotLowered = (typeof DISTRUST_REASONS)[number];

/** What is to be known of the endpoints of a pool. */
export interface PoolState {
  /** Endpoints that may get calls, and the suspects among them. */
  readonly eligible: number;
  readonly suspects: number;
  /** Endpoints that may be ejected or lowered at once, and those that are ejected. */
  readonly cap: number;
  readonly ejected: number;
  readonly isPanicking: boolean;
  /** An endpoint that is not suspect refuses calls as full. */
  readonly isFull: boolean;
}

/**
 * Whether the suspects of a pool get fewer calls; otherwise why not. Suspects and ejected endpoints together are bounded by the cap of
 * ejections: more of them have a cause that they share, a burst of calls or a slow store behind them, and to move calls among them would help
 * none. It helps none either where the others are full.
 */
export function mayLower({
  eligible,
  suspects,
  cap,
  ejected,
  isPanicking,
  isFull,
}: PoolState): NotLowered | undefined {
  if (isPanicking || suspects + ejected > cap || suspects >= eligible) return 'shared';
  return isFull ? 'full' : undefined;
}

/** What a suspect keeps at the highest suspicion. It never gets less, so that it can show that it is well. */
const LEAST_SHARE = 0.2;

/** Share of its calls that a suspect keeps, 0 to 1. */
export function trustOf(suspicion: number): number {
  return 1 - Math.min(1, Math.max(0, suspicion)) * (1 - LEAST_SHARE);
}
