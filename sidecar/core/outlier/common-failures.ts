/** Calls of one endpoint in the last ten seconds that were answered: well, or by a failure that the request may have caused. */
export interface Answers {
  readonly successes: number;
  readonly faults: number;
}

/** What is rarer than this is no chance: an endpoint has hundreds of calls a second, and each ends a row. */
const CHANCE = 1e-6;
/** Calls of a peer below which nothing is known of it. */
const LEAST_CALLS = 4;
/** Failures of all peers below which they are chance. */
const LEAST_FAULTS = 2;
/** The best peer fails so large a part of its calls that one failure more says nothing. */
const MOST_FAIL = 1 / 2;

/**
 * Whether an endpoint that has failed `faults` of `calls` does no worse than the best of its peers at the same time, or may do so by chance: then it is
 * the requests that fail, wherever they go, and an ejection would only send them to the next endpoint. Where one peer answers well, it is the endpoint.
 * @param peers of those that get calls; null: it has none of which anything is known
 */
export function areCommon(faults: number, calls: number, peers: readonly (Answers | null)[]): boolean {
  const best = bestOf(peers, Math.min(LEAST_CALLS, faults - 1));
  if (best === null || best.faults === 0) return false;
  if (faultsOf(peers) < Math.min(LEAST_FAULTS, faults - 1)) return false;
  return chanceOf(faults, calls, shareOf(best)) > CHANCE;
}

/** The same of a single call that failed. */
export function isCommon(peers: readonly (Answers | null)[]): boolean {
  const best = bestOf(peers, LEAST_CALLS);
  return best !== null && faultsOf(peers) >= LEAST_FAULTS && shareOf(best) >= MOST_FAIL;
}

/** The peer that fails the smallest share of its calls, of those with so many calls at least; null: there is none. */
function bestOf(peers: readonly (Answers | null)[], leastCalls: number): Answers | null {
  let best: Answers | null = null;
  for (const peer of peers) {
    if (peer === null || peer.successes + peer.faults < Math.max(1, leastCalls)) continue;
    if (best === null || shareOf(peer) < shareOf(best)) best = peer;
  }
  return best;
}

function faultsOf(peers: readonly (Answers | null)[]): number {
  let sum = 0;
  for (const peer of peers) sum += peer?.faults ?? 0;
  return sum;
}

/** The share of calls that fail, by the rule of succession: few calls do not make it 0 or 1. */
function shareOf({ successes, faults }: Answers): number {
  return (faults + 1) / (successes + faults + 2);
}

/** The chance of `faults` failures among `calls`, or more, where each has the chance `share`: the tail of a binomial distribution. */
function chanceOf(faults: number, calls: number, share: number): number {
  if (faults <= calls * share) return 1;
  let log = faults * Math.log(share) + (calls - faults) * Math.log(1 - share);
  for (let i = 1; i <= calls - faults; i++) log += Math.log((faults + i) / i);
  // The largest term first, as it lies beyond the mean.
  let term = Math.exp(log);
  let sum = term;
  for (let k = faults; k < calls && term > sum * 1e-3; k++) {
    term *= ((calls - k) / (k + 1)) * (share / (1 - share));
    sum += term;
  }
  return sum;
}
