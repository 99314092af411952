import { EjectionState } from './ejection.js';
import type { OutcomeWindow } from './outcome-window.js';

/** An endpoint that others of its pool are compared with, if it is admitted. */
export interface Peer {
  readonly state: EjectionState;
  /** Calls in the last ten seconds that were answered: well, or by a failure that the request may have caused. Null: nothing is known of it. */
  readonly answers: OutcomeWindow | null;
  /** The same from before it came back, perhaps as another process; null: there are none. */
  readonly answersBefore: OutcomeWindow | null;
}

/** What is rarer than this is no chance: an endpoint has hundreds of calls a second, and each ends a row. */
const CHANCE = 1e-6;
/** Calls of a peer below which nothing is known of it. */
const LEAST_CALLS = 4;
/** Calls of one that has come back from which on what it did before says nothing. */
const ENOUGH_CALLS = 10;
/** Failures of all peers below which they are chance. */
const LEAST_FAULTS = 2;
/** The best peer fails so large a part of its calls that one failure more says nothing. */
const MOST_FAIL = 1 / 2;

/**
 * Whether an endpoint that has failed `faults` of `calls` does no worse than the best of its peers at the same time, or may do so by chance: then it is
 * the requests that fail, wherever they go, and an ejection would only send them to the next endpoint. Where one peer answers well, it is the endpoint.
 * Runs for calls that failed: no allocation.
 * @param pool its endpoints, with this one or without.
 */
export function areCommon(
  faults: number,
  calls: number,
  endpoint: Peer,
  pool: Iterable<Peer>,
  nowMs: number,
): boolean {
  const best = bestOf(endpoint, pool, Math.min(LEAST_CALLS, faults - 1), nowMs);
  if (best === null || best.faults === 0) return false;
  if (faultsOf(endpoint, pool) < Math.min(LEAST_FAULTS, faults - 1)) return false;
  return chanceOf(faults, calls, shareOf(best)) > CHANCE;
}

/** The same of a single call that failed. */
export function isCommon(endpoint: Peer, pool: Iterable<Peer>, nowMs: number): boolean {
  const best = bestOf(endpoint, pool, LEAST_CALLS, nowMs);
  return best !== null && faultsOf(endpoint, pool) >= LEAST_FAULTS && shareOf(best) >= MOST_FAIL;
}

/** The peer that fails the smallest share of its calls, of those with so many calls at least; null: there is none. */
function bestOf(
  endpoint: Peer,
  pool: Iterable<Peer>,
  leastCalls: number,
  nowMs: number,
): OutcomeWindow | null {
  let best: OutcomeWindow | null = null;
  for (const peer of pool) {
    if (!isPeer(peer, endpoint)) continue;
    peer.answers?.moveTo(nowMs);
    peer.answersBefore?.moveTo(nowMs);
    const answers = knownOf(peer);
    if (answers === null || answers.calls < Math.max(1, leastCalls)) continue;
    if (best === null || shareOf(answers) < shareOf(best)) best = answers;
  }
  return best;
}

/** Failures of all peers; after `bestOf`, which drops old ones. */
function faultsOf(endpoint: Peer, pool: Iterable<Peer>): number {
  let sum = 0;
  for (const peer of pool) if (isPeer(peer, endpoint)) sum += knownOf(peer)?.faults ?? 0;
  return sum;
}

/**
 * What a peer has answered. Of one that has just come back, what it did before says more of the requests; but it may have been broken then, so that
 * its first calls show whether it was.
 */
function knownOf({ answers, answersBefore }: Peer): OutcomeWindow | null {
  if (answersBefore === null) return answers;
  const calls = answers?.calls ?? 0;
  return calls >= ENOUGH_CALLS || calls >= answersBefore.calls ? answers : answersBefore;
}

function isPeer(peer: Peer, endpoint: Peer): boolean {
  return peer !== endpoint && peer.state === EjectionState.admitted;
}

/** The share of calls that fail, by the rule of succession: few calls do not make it 0 or 1. */
function shareOf({ successes, faults }: OutcomeWindow): number {
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
