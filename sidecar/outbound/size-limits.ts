import type { RouteConfig } from '../config/model.js';
import { SizeCounts, type SizeReason } from '../telemetry/size-counts.js';

/** What a route could do for a call were it smaller, and the calls of one upstream that were too large for it. */
export class SizeLimits {
  /** Retries and hedges. */
  readonly repeat = new SizeCounts();
  /** Fallbacks, whatever their kind. */
  readonly fallback = new SizeCounts();
  /** Answers that the fallback `last-good` did not keep. */
  readonly lastGood = new SizeCounts();

  /** A call of this route cannot be sent again: its request is not kept, or its answer not held. */
  note({ retry, hedge, fallback }: RouteConfig, why: SizeReason): void {
    if (retry !== undefined || hedge !== undefined) this.repeat[why]++;
    if (fallback === undefined) return;
    this.fallback[why]++;
    if (fallback.some(({ kind }) => kind === 'last-good')) this.lastGood[why]++;
  }
}
