import type { AnswersSeen } from '../core/health/answer-silence.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { SerialWait } from '../core/stats/serial-wait.js';
import { headerViewOf } from '../http2/header-view.js';
import { type InboundCall, isInference, isUnaryInference, type Ticket } from './call.js';
import { EngineAnswers } from './engine-answers.js';

/** What the calls of a local model show about it, for its supervisor and its health checks. Times are monotonic ms. */
export interface ActivityReport {
  readonly inFlight: number;
  /** Calls that the model had when their callers or their deadlines ended them, so far: it may still run them. */
  readonly abandoned: number;
  /** Of these, the ones before the last completion. */
  readonly settled: number;
  readonly completed: number;
  /** Inferences that ended with OK: what proves that the model computes. */
  readonly succeeded: number;
  readonly lastCompletionMs: number;
  /** The last that the model said of any call that is in flight or has completed; 0: nothing. */
  readonly lastAnswerMs: number;
  readonly oldestStartMs: number;
  /** Latest deadline of those in flight, and of those abandoned since the last completion; Infinity: one has none. */
  readonly lastDeadlineMs: number;
  readonly usualMs: number;
  /** Of a language-model engine, also those that have been silent for so long that they count as not in flight. */
  readonly answers: AnswersSeen;
}

/** The calls that a local model runs, and what those that ended say about it. */
export class ModelActivity {
  /**
   * In no order. No Set: one that gets and loses an entry with every call is made anew every few hundred calls, and what it
   * was before refers to what it became. Once such a remnant is old, V8's young collections take all later ones, and every
   * call in them, for alive: test/bench/README.md, "What the p99 of a whole run came from".
   */
  private readonly running: Ticket[] = [];
  private abandoned = 0;
  private settled = 0;
  private abandonedDeadlineMs = 0;
  private completed = 0;
  private succeeded = 0;
  private lastCompletionMs = 0;
  private usualMs = 0;
  private readonly answers = new EngineAnswers();
  /** How long calls wait in the process for those before them. */
  readonly serialWait = new SerialWait();

  get inFlight(): number {
    return this.running.length;
  }

  begin(ticket: Ticket): void {
    if (ticket.runningAt >= 0) return;
    if (ticket.call.tokens !== null) this.answers.begin(ticket);
    ticket.runningAt = this.running.length;
    this.running.push(ticket);
  }

  /** A stream has fallen silent: it waits for its caller, or has all that it wants. False: it was not under way. */
  suspend(ticket: Ticket): boolean {
    return this.remove(ticket);
  }

  /** The call has ended, by the model or without it. False: it was not under way. */
  end(ticket: Ticket): boolean {
    const wasRunning = this.remove(ticket);
    if (ticket.call.tokens !== null) this.answers.end(ticket);
    if (wasRunning && isAbandoned(ticket.call)) {
      this.abandoned++;
      this.abandonedDeadlineMs = Math.max(this.abandonedDeadlineMs, ticket.call.deadlineMs);
    }
    return wasRunning;
  }

  /** The last one takes its place. */
  private remove(ticket: Ticket): boolean {
    const { running } = this;
    const at = ticket.runningAt;
    if (at < 0 || running[at] !== ticket) return false;
    const last = running.pop()!;
    if (last !== ticket) {
      running[at] = last;
      last.runningAt = at;
    }
    ticket.runningAt = -1;
    return true;
  }

  /** The model has said how its call ended. */
  onResponse(call: InboundCall, nowMs: number): void {
    const { attempt } = call;
    if (attempt === null || attempt.ended !== AttemptEnd.trailers) return;
    this.completed++;
    this.settled = this.abandoned;
    this.abandonedDeadlineMs = 0;
    this.lastCompletionMs = nowMs;
    const isUnary = isUnaryInference(call);
    if (isUnary) this.updateUsual(nowMs - attempt.startMs);
    const isSuccess = attempt.status === Status.OK;
    if (isUnary && isSuccess) this.serialWait.record(attempt.startMs, nowMs);
    else this.serialWait.end(attempt.startMs, nowMs);
    if (isSuccess && isInference(headerViewOf(call.block).path)) this.succeeded++;
  }

  /** Calls that it has run since before `startedMs`, without the one that ends. */
  startedBefore(startedMs: number, ending: Ticket | null): number {
    let calls = 0;
    for (const ticket of this.running) if (ticket.queueStartedMs < startedMs && ticket !== ending) calls += 1;
    return calls;
  }

  report(): ActivityReport {
    let oldest = 0;
    let lastDeadlineMs = this.abandonedDeadlineMs;
    let lastAnswerMs = this.lastCompletionMs;
    for (const { queueStartedMs, call } of this.running) {
      // Bytes of a response show that the model works; bytes of a request do not.
      const sinceMs = Math.max(queueStartedMs, call.lastResponseMs);
      if (oldest === 0 || sinceMs < oldest) oldest = sinceMs;
      if (call.isCommitted && call.lastResponseMs > lastAnswerMs) lastAnswerMs = call.lastResponseMs;
      if (call.deadlineMs > lastDeadlineMs) lastDeadlineMs = call.deadlineMs;
    }
    return {
      inFlight: this.running.length,
      abandoned: this.abandoned,
      settled: this.settled,
      completed: this.completed,
      succeeded: this.succeeded,
      lastCompletionMs: this.lastCompletionMs,
      oldestStartMs: oldest,
      lastDeadlineMs,
      lastAnswerMs,
      usualMs: this.usualMs,
      answers: this.answers.seen(),
    };
  }

  /** A slow average that jumps up at once: near the slowest of the recent runs. */
  private updateUsual(ranMs: number): void {
    this.usualMs =
      ranMs > this.usualMs
        ? this.usualMs + (ranMs - this.usualMs) * 0.3
        : this.usualMs * 0.995 + ranMs * 0.005;
  }
}

/** The model had it, and it was ended from the caller's side: the model may still run it. */
function isAbandoned({ attempt }: InboundCall): boolean {
  if (attempt === null || attempt.stream === null) return false;
  return attempt.ended === AttemptEnd.cancelled || attempt.ended === AttemptEnd.deadline;
}
