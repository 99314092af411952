import { NoRetry } from './retry-state.js';

/** A failed call of a model to an upstream, for which this sidecar has done what retries can do. */
export interface UpstreamFailure {
  readonly upstream: string;
  /** The gRPC status that the model got. */
  readonly status: number;
  /** Id of its trace (W3C Trace Context); empty: it had none. */
  readonly trace: string;
  /** An endpoint of the upstream gave that status, so that the fault is not on the way there. */
  readonly isAnswered: boolean;
  /** When the model got it, monotonic ms. */
  readonly atMs: number;
}

/** A call of a peer to the model that has failed. */
export interface FailedCall {
  readonly status: number;
  readonly trace: string;
  readonly startMs: number;
}

/** Failures kept. */
const MAX_FAILURES = 1_024;

/**
 * Failures of the upstreams of a model, to find the one because of which a call to the model has failed: the calls of the
 * model do not say which call they serve. Each failure explains one call at most, of the same status, that was under way
 * when the model got it: the call of the same trace, else the first to end where one of the two has no trace.
 */
export class UpstreamFailures {
  /** In the order of `atMs`. */
  private readonly failures: UpstreamFailure[] = [];

  note(failure: UpstreamFailure): void {
    const { failures } = this;
    if (failures.length >= MAX_FAILURES) failures.splice(0, MAX_FAILURES / 2);
    failures.push(failure);
  }

  /** The failure that explains the call, which then explains no other; undefined: there is none. */
  takeCause({ status, trace, startMs }: FailedCall): UpstreamFailure | undefined {
    const { failures } = this;
    let found = -1;
    for (let i = failures.length - 1; i >= 0; i--) {
      const failure = failures[i]!;
      if (failure.atMs < startMs) break;
      if (failure.status !== status) continue;
      const isSameTrace = trace !== '' && failure.trace === trace;
      if (isSameTrace || (found < 0 && (trace === '' || failure.trace === ''))) found = i;
      if (isSameTrace) break;
    }
    return found < 0 ? undefined : failures.splice(found, 1)[0];
  }
}

/**
 * Whether a decision against another attempt leaves nothing for retries further away: this sidecar was to retry, and its
 * attempts or budgets are used up, or the upstream asked for no more. A failure that its route does not retry is left to
 * them, as is one for want of time or of the request.
 */
export function isSpent(decision: number): boolean {
  return (
    decision === NoRetry.exhausted ||
    decision === NoRetry.overBudget ||
    decision === NoRetry.overBreaker ||
    decision === NoRetry.pushback
  );
}
