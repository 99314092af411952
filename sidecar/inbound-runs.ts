/** The calls that the local model has under way, and what those that ended say about it. */

import { Ended } from './core/outcome.js';
import { Status } from './core/status.js';
import { factsOf } from './http2/facts.js';
import { type InboundCall, isInference, isOneInference, type Ticket } from './inbound-call.js';

/** What the local model's runs say about it, for whoever watches over it. Times are monotonic ms. */
export interface ModelEvidence {
  readonly inFlight: number;
  /** Given to the model so far, in flight or not: what was started and is neither, its callers gave up, or it is a stream that fell silent. */
  readonly started: number;
  readonly completed: number;
  /** Inferences that ended with OK: what proves that the model computes. */
  readonly succeeded: number;
  readonly lastCompletionMs: number;
  readonly oldestStartMs: number;
  readonly usualMs: number;
}

export class InboundRuns {
  private readonly running = new Set<Ticket>();
  private started = 0;
  private completed = 0;
  private succeeded = 0;
  private lastCompletionMs = 0;
  private usualMs = 0;

  begin(ticket: Ticket): void {
    this.started++;
    this.running.add(ticket);
  }

  /** False: it was not under way. */
  end(ticket: Ticket): boolean {
    return this.running.delete(ticket);
  }

  /** The model has said how its call ended. */
  answered(call: InboundCall, nowMs: number): void {
    const { attempt } = call;
    if (attempt === null || attempt.ended !== Ended.trailers) return;
    this.completed++;
    this.lastCompletionMs = nowMs;
    if (isOneInference(call)) this.learn(nowMs - attempt.startMs);
    if (attempt.status === Status.OK && isInference(factsOf(call.block).path)) this.succeeded++;
  }

  evidence(): ModelEvidence {
    let oldest = 0;
    for (const { queueStartedMs, call } of this.running) {
      // What it has sent of an answer shows that it works; what a caller sends does not.
      const sinceMs = Math.max(queueStartedMs, call.answeredMs);
      if (oldest === 0 || sinceMs < oldest) oldest = sinceMs;
    }
    return {
      inFlight: this.running.size,
      started: this.started,
      completed: this.completed,
      succeeded: this.succeeded,
      lastCompletionMs: this.lastCompletionMs,
      oldestStartMs: oldest,
      usualMs: this.usualMs,
    };
  }

  /** A slow average that jumps up at once: near the slowest of the recent runs. */
  private learn(ranMs: number): void {
    this.usualMs =
      ranMs > this.usualMs
        ? this.usualMs + (ranMs - this.usualMs) * 0.3
        : this.usualMs * 0.995 + ranMs * 0.005;
  }
}
