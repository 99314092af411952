/** A round of queries for the addresses of a name that takes longer is ended, ms. */
export const ROUND_LIMIT_MS = 5_000;
/** Not given to any query, ms: timers fire late, and answers that came in time have to be read. */
const MARGIN_MS = 250;
/** Kept for the last name while another is asked for, ms: often that is the name as it stands in the file. */
const LAST_MS = 500;

/**
 * How long the queries for one name of a round may take, ms, so that the last name is asked for within the round whatever the servers do
 * about those before it. A name may take what is left of the first half of the round; after that, all names share the rest.
 *
 * @param elapsedMs since the round began.
 * @param namesAfter names that have to be asked for if this one is not found.
 */
export function timeForName(elapsedMs: number, namesAfter: number): number {
  const leftMs = Math.max(0, ROUND_LIMIT_MS - MARGIN_MS - elapsedMs);
  if (namesAfter === 0) return leftMs;
  const shareMs = Math.max(0, leftMs - LAST_MS) / namesAfter;
  return Math.max(ROUND_LIMIT_MS / 2 - elapsedMs, shareMs);
}

/**
 * How long one server may take in the first turn, ms, when each next turn is twice as long and all turns together have to fit into a time.
 *
 * @param tryMs at most so long.
 * @param turns of each server.
 */
export function firstTryMs(timeMs: number, tryMs: number, turns: readonly number[]): number {
  const firsts = turns.reduce((sum, each) => sum + 2 ** each - 1, 0);
  return Math.min(tryMs, timeMs / firsts);
}
