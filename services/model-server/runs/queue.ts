import { RpcError, status } from '../rpc.js';
import { DeadlinePassed, sequenceLost, toRpcError, unsendable } from './failures.js';
import { Gathering, nextTurn } from './gathering.js';
import { type Answer, isMoreUrgent, type Job, latestDeadline, placesOf, type Runner } from './job.js';
import { type JobEnd, Ledger, type QueueCounters } from './ledger.js';
import { type Later, QueueTimeouts } from './queue-timeouts.js';
import { NO_RUN_LOG, type RunLog } from './run-log.js';
import { Streams } from './streams.js';
import { type Lane, Turns } from './turns.js';

/** The clocks, and how the queue waits. */
export interface QueueDeps {
  /** Epoch ms, the clock of the deadlines. */
  readonly wallNow: () => number;
  /** Ms of a monotonic clock that tells short runs apart. */
  readonly runNow: () => number;
  /** For models with `max_delay` and requests with `timeout`. Default: the runtime's timers. */
  readonly later?: Later;
  /** What runs is noted there. Default: nowhere. */
  readonly log?: RunLog | undefined;
}

type ModelLane = Lane<Runner, Job>;

/**
 * What runs next. One inference at a time: a run blocks this thread, and everything else waits for it anyway. Models take
 * turns by the time their runs take (turns.ts); one that waits sees one run of another model between two of its own at most.
 * Requests that arrived meanwhile form the next batch where the model's card declares one. The socket hands them over a
 * few per turn of the event loop, so turns are read until the batch is full or a turn brought nothing. A job that streams
 * gets one answer a turn (streams.ts) and goes to the end of its model's queue, so that a call behind it waits one round at
 * most. A job whose caller has gone or whose time is up is never run. No retries, no limits: that is the mesh's work.
 */
export class InferenceQueue {
  private readonly turns = new Turns<Runner, Job>((runner) => this.mayRun(runner));
  private readonly ledger: Ledger;
  private readonly timeouts: QueueTimeouts;
  private readonly gathering: Gathering;
  private readonly streams: Streams;
  /** Jobs of a batch that failed: each gets a run of its own. */
  private readonly alone = new WeakSet<Job>();
  /** Jobs whose caller has gone while they ran. */
  private readonly gone = new WeakSet<Job>();
  /** Jobs that run, or stream: no other request of their sequence does meanwhile. */
  private readonly occupying = new WeakSet<Job>();
  /** Runs under way of models that may have several. */
  private readonly underWay = new Map<Runner, number>();
  /** Models all of whose jobs wait for a run of their own sequence to end. */
  private readonly held = new Set<Runner>();
  private readonly wallNow: () => number;
  private readonly runNow: () => number;
  private readonly log: RunLog;
  private working = false;

  constructor({ wallNow, runNow, later = runtimeTimer, log = NO_RUN_LOG }: QueueDeps) {
    this.wallNow = wallNow;
    this.runNow = runNow;
    this.log = log;
    this.ledger = new Ledger(wallNow, runNow);
    this.timeouts = new QueueTimeouts(runNow, later, (job) => this.timedOut(job));
    this.gathering = new Gathering(runNow, later, (runner) => this.turns.othersWait(runner));
    this.streams = new Streams({
      begun: (job) => {
        this.counters.jobs++;
        this.ledger.begun([job]);
      },
      timed: (job, run) => this.timed(job.runner, job.deadlineMs, run),
      again: (job) => this.again(job),
      hasGone: (job) => this.gone.has(job),
      ended: (job, how, error) => this.end(job, how, error),
      now: runNow,
      later,
    });
  }

  get counters(): QueueCounters {
    return this.ledger.counters;
  }

  /** Queues the job; where nothing runs, it is next. */
  submit(job: Job): void {
    this.ledger.arrived(job);
    this.timeouts.add(job);
    this.turns.add(job.runner, job, isMoreUrgent);
    // It may be of another sequence than those that the model's other jobs wait for.
    this.held.delete(job.runner);
    if (!this.working) void this.work();
  }

  /** The caller has gone: the job is forgotten, unless it is running already. */
  withdraw(job: Job): void {
    if (!this.turns.remove(job.runner, job) && !this.streams.unpark(job)) {
      this.gone.add(job);
      return;
    }
    this.counters.withdrawn++;
    void this.streams.close(job, 'cancelled');
  }

  /**
   * Resolves when nothing of the model waits or runs, and nothing is kept of it. No further job of it may come. Streams that
   * nothing has been read of for `unreadMs` are ended.
   */
  async drained(runner: Runner, unreadMs: number): Promise<void> {
    const stop = this.streams.endUnread(runner, unreadMs);
    await this.ledger.drained(runner);
    stop();
    this.turns.forget(runner);
  }

  private mayRun(runner: Runner): boolean {
    return (this.underWay.get(runner) ?? 0) < runner.concurrency && !this.held.has(runner);
  }

  private async work(): Promise<void> {
    this.working = true;
    for (let lane = this.turns.next(); lane !== undefined; lane = this.turns.next()) {
      const { key, items } = lane;
      if (this.mayGrow(key, items[0]!)) await this.gathering.gather(key, items);
      const batch = this.take(lane);
      if (batch.length > 0) {
        const run = this.run(lane, batch);
        if (key.concurrency === 1) await run;
        else this.runBeside(key, run);
      } else if (items.length > 0 && items.every((job) => this.waitsForSequence(job))) this.held.add(key);
      // What came in while the thread was held, cancellations above all.
      if (this.turns.waiting) await nextTurn();
    }
    this.working = false;
  }

  private mayGrow({ maxBatch }: Runner, head: Job): boolean {
    return maxBatch > 1 && !this.alone.has(head) && !this.streams.has(head);
  }

  private runBeside(runner: Runner, run: Promise<void>): void {
    this.underWay.set(runner, (this.underWay.get(runner) ?? 0) + 1);
    void run.then(() => {
      const left = this.underWay.get(runner)! - 1;
      if (left > 0) this.underWay.set(runner, left);
      else this.underWay.delete(runner);
      this.held.delete(runner);
      if (!this.working) void this.work();
    });
  }

  private run(lane: ModelLane, batch: readonly Job[]): Promise<void> {
    const head = batch[0]!;
    const streams = head.streams !== undefined && lane.key.stream !== undefined;
    return streams ? this.streams.turn(lane.key, head) : this.execute(lane, batch);
  }

  /** The head of the model's queue and what may run with it, in order of arrival; jobs whose time is up are ended here. */
  private take({ key, items }: ModelLane): Job[] {
    const batch: Job[] = [];
    const late: { job: Job; problem: RpcError }[] = [];
    const now = this.wallNow();
    let rows = 0;
    let at = 0;
    let kept = 0;
    for (; at < items.length; at++) {
      const job = items[at]!;
      const problem = this.lateness(job, now);
      if (problem !== undefined) {
        late.push({ job, problem });
        continue;
      }
      if (this.waitsForSequence(job) || (batch.length > 0 && !this.joins(batch, rows, job))) {
        items[kept++] = job;
        continue;
      }
      this.timeouts.remove(job);
      batch.push(job);
      rows += placesOf(job);
      this.occupy(job);
      if (rows < key.maxBatch && !this.alone.has(job) && job.streams === undefined) continue;
      at++;
      break;
    }
    items.splice(kept, at - kept);
    for (const { job, problem } of late) this.refuse(job, problem);
    // Told of one that was late, the caller may have ended others; and it may have been the first of a sequence.
    const running = late.length === 0 ? batch : batch.filter((job) => this.mayStillRun(job));
    for (const { sequence } of running) if (sequence !== undefined) sequence.hasRun = true;
    return running;
  }

  private mayStillRun(job: Job): boolean {
    if (this.gone.has(job)) {
      this.counters.withdrawn++;
      void this.streams.close(job, 'cancelled');
      return false;
    }
    const lost = sequenceLost(job);
    if (lost !== undefined) this.refuse(job, lost);
    return lost === undefined;
  }

  private joins(batch: readonly Job[], rows: number, job: Job): boolean {
    const { maxBatch } = job.runner;
    if (rows + placesOf(job) > maxBatch || this.alone.has(job) || job.streams !== undefined) return false;
    return job.runner.fits(batch[0]!, job);
  }

  /** Another request of its sequence runs. A stream that has begun is that request itself. */
  private waitsForSequence(job: Job): boolean {
    return job.sequence?.busy === true && !this.streams.has(job);
  }

  /** Why the job may not run (on); undefined: it may. */
  private lateness(job: Job, wallNow: number): RpcError | undefined {
    if (job.deadlineMs <= wallNow) return new DeadlinePassed(this.streams.has(job) ? 'begun' : 'not begun');
    return this.timeouts.hasPassed(job) ? this.timeouts.refusal(job) : sequenceLost(job);
  }

  private timedOut(job: Job): void {
    if (this.turns.remove(job.runner, job)) this.refuse(job, this.timeouts.refusal(job));
  }

  private refuse(job: Job, error: RpcError): void {
    if (error.code === status.DEADLINE_EXCEEDED && !this.streams.has(job)) this.ledger.expired(job);
    void this.streams.close(job, 'fail', error);
  }

  private async execute(lane: ModelLane, batch: readonly Job[]): Promise<void> {
    const { key } = lane;
    // The wait of one that runs again alone has been counted.
    if (!this.alone.has(batch[0]!)) this.ledger.begun(batch);
    let answers: readonly (Answer | RpcError)[];
    try {
      answers = await this.timed(key, latestDeadline(batch), () => key.execute(batch));
    } catch (error) {
      if (batch.length > 1) this.splitUp(lane, batch);
      else this.fail(batch[0]!, toRpcError(batch[0]!, error));
      return;
    }
    this.counters.runs++;
    this.counters.jobs += batch.length;
    batch.forEach((job, i) => {
      const answer = answers[i]!;
      if (answer instanceof RpcError) this.fail(job, answer);
      else this.answer(job, answer);
    });
  }

  /** One request's values may have failed the others': each gets its own run, when its model's turn comes again. */
  private splitUp(lane: ModelLane, batch: readonly Job[]): void {
    const left: Job[] = [];
    for (const job of batch) {
      this.release(job);
      if (this.gone.has(job)) this.ledger.ended(job, 'cancelled');
      else left.push(job);
      this.alone.add(job);
    }
    lane.items.unshift(...left);
  }

  /** An answer that cannot be made is this job's failure, not the queue's. */
  private answer(job: Job, answer: Answer): void {
    try {
      job.done(undefined, answer);
    } catch (error) {
      return this.end(job, 'fail', unsendable(job, error));
    }
    this.release(job);
    // A stream gets its answer and then its end.
    if (job.streams !== undefined) job.done(undefined, undefined);
    this.ledger.ended(job, 'success');
  }

  /** A run that ends without an answer because its caller has gone is no failure of the model. */
  private fail(job: Job, error: RpcError): void {
    this.end(job, this.gone.has(job) ? 'cancelled' : 'fail', error);
  }

  private end(job: Job, how: JobEnd, error: RpcError | undefined): void {
    this.release(job);
    this.timeouts.remove(job);
    this.ledger.ended(job, how);
    if (how !== 'cancelled') job.done(error, undefined);
    if (!this.working) void this.work();
  }

  /** The stream has given an answer, and waits for its next turn. No other request of its sequence runs before its end. */
  private again(job: Job): void {
    this.turns.add(job.runner, job);
    this.held.delete(job.runner);
    if (!this.working) void this.work();
  }

  /** No other request of its sequence runs before its end. */
  private occupy(job: Job): void {
    if (job.sequence === undefined) return;
    this.occupying.add(job);
    job.sequence.busy = true;
  }

  /** The next request of its sequence may run, where this was the one that did: one that only waited takes no place from it. */
  private release(job: Job): void {
    if (job.sequence === undefined || !this.occupying.delete(job)) return;
    job.sequence.busy = false;
    this.held.delete(job.runner);
  }

  private async timed<T>(runner: Runner, deadlineMs: number, run: () => Promise<T>): Promise<T> {
    const began = this.runNow();
    this.log.begin(deadlineMs - this.wallNow());
    try {
      return await run();
    } finally {
      this.log.end();
      // Of runs side by side most of the time is a wait for others.
      this.turns.charge(runner, (this.runNow() - began) / (1 + (this.underWay.get(runner) ?? 0)));
    }
  }
}

function runtimeTimer(ms: number, then: () => void): () => void {
  const timer = setTimeout(then, ms);
  return () => clearTimeout(timer);
}
