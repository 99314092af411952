/** Failed connects in a row at one endpoint that make discovery doubtful, though others answer. */
const FAILURES = 3;
const FIRST_WAIT_MS = 5_000;
const MAX_WAIT_MS = 300_000;

/** What can be seen of an endpoint's connections. */
export interface Reached {
  readonly isConnected: boolean;
  readonly failures: number;
}

/**
 * Reports connections that contradict discovery: it names an endpoint, and no connection to it can be made. Reports at once,
 * then after 5 s, doubling to 300 s while nothing changes, so that the registry is asked again and not overloaded.
 */
export class StaleDiscovery {
  /** Called with the reason, one sentence for logs; undefined: nothing listens. */
  listener: ((why: string) => void) | undefined;
  private nextMs = Number.NEGATIVE_INFINITY;
  private waitMs = FIRST_WAIT_MS;

  /** A connect to `failed` has failed; `all` are the endpoints that discovery names. */
  onFailure(failed: Reached, all: readonly Reached[], why: string, nowMs: number): void {
    if (this.listener === undefined) return;
    if (failed.failures < FAILURES && !all.every((each) => !each.isConnected && each.failures > 0)) return;
    if (nowMs < this.nextMs) return;
    this.nextMs = nowMs + this.waitMs;
    this.waitMs = Math.min(this.waitMs * 2, MAX_WAIT_MS);
    this.listener(why);
  }

  /** Discovery has said something new: the next contradiction is reported at once. */
  reset(): void {
    this.nextMs = Number.NEGATIVE_INFINITY;
    this.waitMs = FIRST_WAIT_MS;
  }
}
