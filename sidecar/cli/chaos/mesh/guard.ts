/** When a drill may touch a replica, and when it has to stop. The facts, the clock and the sleeps come from outside. */

import { CommandFailure } from '../../failure.js';

export interface ReplicaFacts {
  readonly name: string;
  /** Why it is not ready, by its own word; empty: it is. */
  readonly notReady: readonly string[];
  /** Whether the caller's sidecar sends calls to it. */
  readonly getsCalls: boolean;
}

/**
 * Why no replica may be touched now; undefined: one may. All have to serve, at least two: so that one is touched at a time, and
 * never the last one that serves.
 */
export function whyNotNow(replicas: readonly ReplicaFacts[]): string | undefined {
  if (replicas.length < 2) return `it would be the last replica that serves (${replicas.length} known)`;
  for (const { name, notReady, getsCalls } of replicas) {
    if (notReady.length > 0) return `${name} is not ready: ${notReady[0]}`;
    if (!getsCalls) return `${name} gets no calls of the caller's sidecar`;
  }
  return undefined;
}

/** Calls of this long decide. */
const WINDOW_MS = 2_000;
/** Fewer calls than this say nothing. */
const LEAST_CALLS = 10;

/** The share of calls that were answered well in the last 2 s, against a bound. */
export class AvailabilityGuard {
  private ends: { readonly atMs: number; readonly isGood: boolean }[] = [];

  /** @param least the bound, 0 to 1; 0: it never says stop. */
  constructor(private readonly least: number) {}

  note(isGood: boolean, atMs: number): void {
    this.ends.push({ atMs, isGood });
  }

  /**
   * Why the drill has to stop; undefined: it may go on.
   * @param late calls that wait for an answer for too long: as bad as one that failed.
   */
  whyStop(nowMs: number, late: number): string | undefined {
    this.ends = this.ends.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS);
    const calls = this.ends.length + late;
    if (calls < LEAST_CALLS) return undefined;
    const share = this.ends.filter(({ isGood }) => isGood).length / calls;
    if (share >= this.least) return undefined;
    return `${percent(share)} of ${calls} calls in ${WINDOW_MS / 1_000} s were answered well, and ${percent(this.least)} is the bound`;
  }
}

function percent(share: number): string {
  return `${Math.round(share * 1_000) / 10} %`;
}

/** A model that was killed has to load again. */
const WHOLE_LIMIT_MS = 180_000;
const POLL_MS = 100;

export interface Watch {
  /** What the replicas and the caller's sidecar say now. */
  look(): Promise<readonly ReplicaFacts[]>;
  sleep(ms: number): Promise<void>;
  /** Ms. */
  now(): number;
}

/** Resolves when every replica serves and gets calls. @throws CommandFailure where that takes 180 s. */
export async function untilWhole({ look, sleep, now }: Watch): Promise<void> {
  const endMs = now() + WHOLE_LIMIT_MS;
  for (;;) {
    const why = whyNotNow(await look());
    if (why === undefined) return;
    if (now() > endMs) throw new CommandFailure(`the mesh is not whole: ${why}`);
    await sleep(POLL_MS);
  }
}

/**
 * Resolves when the mesh is whole after a calm part under load. Where it is not, it is waited for and another calm part follows: the
 * drill before may have left answers that an endpoint is ejected for only when calls come again.
 *
 * @param calmMs length of a calm part.
 * @returns why no replica may be touched, where that lasts for 180 s; undefined: one may.
 * @throws CommandFailure as untilWhole.
 */
export async function untilCalm(watch: Watch, calmMs: number): Promise<string | undefined> {
  const endMs = watch.now() + WHOLE_LIMIT_MS;
  for (;;) {
    await watch.sleep(calmMs);
    const why = whyNotNow(await watch.look());
    if (why === undefined || watch.now() > endMs) return why;
    await untilWhole(watch);
  }
}
