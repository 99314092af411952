/** When a process is replaced although it serves; absent limits are no reason. */
export interface RecycleLimits {
  readonly maxAgeMs?: number;
  readonly maxMemoryBytes?: number;
}

/** What is known of the processes of a version that serves. */
export interface RecycleFacts {
  /** Of the oldest process, ms. */
  readonly ageMs: number;
  /** Of the largest process, as it says itself; 0: it does not say. */
  readonly memoryBytes: number;
  /** What a detector says against it; empty: nothing. */
  readonly suspicion: string;
  /** All of its processes serve. */
  readonly isWhole: boolean;
  /** Another version or process of the model is on its way here: there is no memory for a third. */
  readonly isChanging: boolean;
  /** Since the last attempt to replace it that failed, ms; Infinity: none has. */
  readonly sinceFailureMs: number;
}

/** A fresh process that did not load is not tried again for this long: its load costs what the old one serves with. */
const AFTER_FAILURE_MS = 600_000;
/**
 * How long a process that is due waits for the end of a rollout, ms. One that is paused, or cannot go back, has no end, and a process
 * that grows does not wait for it.
 */
const ROLLOUT_WAIT_MS = 3_600_000;
/** One that is younger is replaced for its age alone, ms: a fresh one would be like it. */
const YOUNG_MS = 60_000;
const MIB = 1024 * 1024;

/**
 * Why a process is to be replaced by a fresh one, in one sentence; undefined: it is left alone. `early` from 0 to 1 is drawn
 * once for each process: it brings the age forward by up to a tenth, so that replicas that began together are not replaced
 * together.
 */
export function recycleReason(
  facts: RecycleFacts,
  { maxAgeMs, maxMemoryBytes }: RecycleLimits,
  early: number,
): string | undefined {
  const { ageMs, memoryBytes, suspicion, isWhole, isChanging, sinceFailureMs } = facts;
  if (!isWhole || isChanging || sinceFailureMs < AFTER_FAILURE_MS) return undefined;
  const isYoung = ageMs < YOUNG_MS;
  if (suspicion !== '' && !isYoung) return suspicion;
  if (maxMemoryBytes !== undefined && !isYoung && memoryBytes > maxMemoryBytes)
    return `it has ${Math.round(memoryBytes / MIB)} MiB, more than ${Math.round(maxMemoryBytes / MIB)} MiB`;
  if (maxAgeMs !== undefined && ageMs > maxAgeMs * (1 - early / 10))
    return `it has run for ${Math.round(ageMs / 1000)} s`;
  return undefined;
}

/** Whether a process that has been due for so long waits for the end of the rollout that is under way. */
export function waitsForRollout(dueForMs: number): boolean {
  return dueForMs < ROLLOUT_WAIT_MS;
}
