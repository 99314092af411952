/**
 * Connections that contradict the registry: it says that an endpoint is there, and nobody can connect to it. Says so,
 * the first time at once, then ever less often while nothing gets better, so that the registry is asked again and not
 * worn out.
 */

/** Failed connects in a row at one endpoint that make the registry doubtful, though others answer. */
const FAILURES = 3;
const FIRST_WAIT_MS = 5_000;
const MAX_WAIT_MS = 300_000;

/** What can be seen of an endpoint's connections. */
export interface Reached {
  readonly isConnected: boolean;
  readonly failures: number;
}

export class StaleDiscovery {
  /** Who wants to hear of it; absent while nobody does. */
  listener: ((why: string) => void) | undefined;
  private nextMs = Number.NEGATIVE_INFINITY;
  private waitMs = FIRST_WAIT_MS;

  /** A connect at `failed` came to nothing; `all` are those the registry vouches for. */
  onFailure(failed: Reached, all: readonly Reached[], why: string, nowMs: number): void {
    if (this.listener === undefined) return;
    if (failed.failures < FAILURES && !all.every((each) => !each.isConnected && each.failures > 0)) return;
    if (nowMs < this.nextMs) return;
    this.nextMs = nowMs + this.waitMs;
    this.waitMs = Math.min(this.waitMs * 2, MAX_WAIT_MS);
    this.listener(why);
  }

  /** The registry said something new. */
  reset(): void {
    this.nextMs = Number.NEGATIVE_INFINITY;
    this.waitMs = FIRST_WAIT_MS;
  }
}
