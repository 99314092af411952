import { HEALTHY_RUN_MS } from '../retry/backoff.js';

/** After the first end, and the most, ms. The most is less than a healthy run, so that a process can have one. */
const FIRST_MS = 1_000;
const MOST_MS = 30_000;

/**
 * How long a process has to stay up, once it is ready, before callers prefer it as before: its probation. The process before it
 * died while it served, and calls that were in flight there were lost; one that is called at once after each restart loses some at
 * each. The time doubles with each such end: 1 s, 2 s, 4 s, … 30 s, and a healthy run (`HEALTHY_RUN_MS`) forgets all. Kubernetes has the
 * same in `minReadySeconds`, of one length for every start.
 *
 * An end before it was ever ready counts for nothing: no call was there.
 */
export class MinimumUptime {
  /** Ends of processes that served, without a healthy run between them. */
  private ends = 0;
  /** The process that runs now has met it. */
  private isMet = true;

  /** What the process that runs, or the next one, has to stay up after it is ready, ms; 0: nothing. */
  get ms(): number {
    return this.isMet ? 0 : Math.min(FIRST_MS * 2 ** Math.min(this.ends - 1, 52), MOST_MS);
  }

  /** Why, in one sentence; empty where nothing is demanded. */
  get why(): string {
    if (this.isMet) return '';
    const often =
      this.ends === 1 ? 'the process before it died' : `the ${this.ends} processes before it died`;
    return `on probation for ${this.ms / 1_000} s because ${often} while serving; callers prefer other replicas`;
  }

  /** The process ended by itself, or was killed for hanging. @param readyForMs how long it had been ready, ms; 0 when it never was. */
  ended(readyForMs: number): void {
    if (readyForMs >= HEALTHY_RUN_MS) this.ends = 0;
    if (readyForMs <= 0) return;
    this.ends += 1;
    this.isMet = false;
  }

  /** The process has stayed up for so long. */
  met(): void {
    this.isMet = true;
  }
}
