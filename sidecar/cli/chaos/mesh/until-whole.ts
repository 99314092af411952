/** Waits until every replica of a running mesh serves and gets calls. The clock, the looks and the sleeps come from outside. */

import { CommandFailure } from '../../failure.js';
import { type ReplicaFacts, whyNotNow } from './guard.js';

/** A model that was killed has to load again. */
const WHOLE_LIMIT_MS = 180_000;
const POLL_MS = 100;

/** How the mesh is looked at, and how time passes. */
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
