import { messageOf, RpcError, status } from '../rpc.js';
import { type Answer, type Job, type Runner, rowsOf } from './job.js';
import { NO_RUN_LOG, type RunLog } from './run-log.js';
import { charge, type Lane, Turns } from './turns.js';

/** Since the start of the process. */
export interface QueueCounters {
  runs: number;
  /** Jobs that ran; divided by `runs` it is the mean batch. */
  jobs: number;
  expired: number;
  withdrawn: number;
}

/** The clocks, and how the queue waits. */
export interface QueueDeps {
  /** Epoch ms, the clock of the deadlines. */
  readonly wallNow: () => number;
  /** Ms of a monotonic clock that tells short runs apart. */
  readonly runNow: () => number;
  /** Calls after so many ms. Needed for models with `max_delay` only. Default: the runtime's timers. */
  readonly later?: (ms: number, then: () => void) => void;
  /** What runs is noted there. Default: nowhere. */
  readonly log?: RunLog | undefined;
}

type ModelLane = Lane<Runner, Job>;

/** A job that streams, once its first turn has come. */
interface OpenStream {
  readonly answers: AsyncIterator<Answer>;
  readonly beganMs: number;
}

/**
 * What runs next. One inference at a time: a run blocks this thread, and everything else waits for it anyway. Models take
 * turns by the time their runs take (turns.ts); one that waits sees one run of another model between two of its own at most.
 * Requests that arrived meanwhile form the next batch where the model's card declares one. The socket hands them over a
 * few per turn of the event loop, so turns are read until the batch is full or a turn brought nothing. A job that streams
 * gets one answer a turn and goes to the end of its model's queue, so that a call behind it waits one round at most.
 * A job whose caller has gone or whose deadline has passed is never run. No retries, no limits: that is the mesh's work.
 */
export class InferenceQueue {
  readonly counters: QueueCounters = { runs: 0, jobs: 0, expired: 0, withdrawn: 0 };
  private readonly turns = new Turns<Runner, Job>((runner) => this.mayRun(runner));
  /** Jobs of a batch that failed: each gets a run of its own. */
  private readonly alone = new WeakSet<Job>();
  /** Jobs whose caller has gone while they ran. */
  private readonly gone = new WeakSet<Job>();
  private readonly streams = new Map<Job, OpenStream>();
  /** Jobs that stream whose caller does not read. */
  private readonly parked = new Set<Job>();
  /** Runs under way of models that may have several. */
  private readonly underWay = new Map<Runner, number>();
  /** Models all of whose jobs wait for a run of their own sequence to end. */
  private readonly held = new Set<Runner>();
  private readonly drains = new Map<Runner, () => void>();
  private readonly wallNow: () => number;
  private readonly runNow: () => number;
  private readonly later: (ms: number, then: () => void) => void;
  private readonly log: RunLog;
  private working = false;

  constructor({ wallNow, runNow, later, log }: QueueDeps) {
    this.wallNow = wallNow;
    this.runNow = runNow;
    this.later = later ?? ((ms, then) => void setTimeout(then, ms));
    this.log = log ?? NO_RUN_LOG;
  }

  /** Queues the job; where nothing runs, it is next. */
  submit(job: Job): void {
    job.runner.stats.pending += 1;
    job.arrivedMs = this.runNow();
    this.turns.add(job.runner, job, isMoreUrgent);
    if (!this.working) void this.work();
  }

  /** The caller has gone: the job is forgotten, unless it is running already. */
  withdraw(job: Job): void {
    if (!this.turns.remove(job.runner, job) && !this.parked.delete(job)) {
      this.gone.add(job);
      return;
    }
    this.counters.withdrawn++;
    const stream = this.streams.get(job);
    this.streams.delete(job);
    this.release(job);
    this.forget(job);
    void stream?.answers.return?.().then(undefined, () => undefined);
  }

  /** Resolves when nothing of the model waits or runs. */
  drained(runner: Runner): Promise<void> {
    if (runner.stats.pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.drains.set(runner, resolve));
  }

  private mayRun(runner: Runner): boolean {
    return (this.underWay.get(runner) ?? 0) < runner.concurrency && !this.held.has(runner);
  }

  private async work(): Promise<void> {
    this.working = true;
    for (let lane = this.turns.next(); lane !== undefined; lane = this.turns.next()) {
      await this.gather(lane);
      const batch = this.take(lane);
      if (batch.length > 0) {
        const run = this.run(lane, batch);
        if (lane.key.concurrency === 1) await run;
        else this.runBeside(lane.key, run);
      } else if (lane.items.length > 0) this.held.add(lane.key);
      // What came in while the thread was held, cancellations above all.
      if (this.turns.waiting) await nextTurn();
    }
    this.working = false;
  }

  private runBeside(runner: Runner, run: Promise<void>): void {
    this.underWay.set(runner, (this.underWay.get(runner) ?? 0) + 1);
    void run.then(() => {
      this.underWay.set(runner, this.underWay.get(runner)! - 1);
      this.held.delete(runner);
      if (!this.working) void this.work();
    });
  }

  private run(lane: ModelLane, batch: readonly Job[]): Promise<void> {
    const head = batch[0]!;
    const streams = head.streams !== undefined && lane.key.stream !== undefined;
    return streams ? this.streamOne(lane, head) : this.execute(lane, batch);
  }

  /** Reads turns of the event loop until the batch is full or a turn brought no further job for it. */
  private async gather({ key, items }: ModelLane): Promise<void> {
    const head = items[0];
    if (key.maxBatch === 1 || head === undefined || this.alone.has(head) || this.streams.has(head)) return;
    let before = items.length;
    while (before < key.maxBatch) {
      await nextTurn();
      if (items.length <= before) break;
      before = items.length;
    }
    await this.delay(key, items);
  }

  /** For a model with `max_delay`: until there are rows for a preferred batch, or the first job has waited for so long. */
  private async delay(runner: Runner, items: readonly Job[]): Promise<void> {
    const full = runner.preferredRows[0] ?? runner.maxBatch;
    for (;;) {
      const head = items[0];
      if (head === undefined || runner.maxDelayMs === 0) return;
      if (items.reduce((rows, job) => rows + rowsOf(job), 0) >= full) return;
      const leftMs = runner.maxDelayMs - (this.runNow() - (head.arrivedMs ?? 0));
      // Another model's turn is not held up by this one's wait.
      if (leftMs <= 0 || this.turns.othersWait(runner)) return;
      await new Promise<void>((resolve) => this.later(Math.min(leftMs, 1), resolve));
    }
  }

  /** The head of the model's queue and what may run with it, in order of arrival; expired jobs are answered here. */
  private take({ key, items }: ModelLane): Job[] {
    const batch: Job[] = [];
    const now = this.wallNow();
    const runNow = this.runNow();
    let rows = 0;
    for (let i = 0; i < items.length; ) {
      const job = items[i]!;
      if (job.deadlineMs <= now || (job.startByMs !== undefined && job.startByMs <= runNow)) {
        items.splice(i, 1);
        this.expire(job);
        continue;
      }
      if (job.sequence?.busy || (batch.length > 0 && !this.joins(batch, rows, job))) {
        i++;
        continue;
      }
      items.splice(i, 1);
      batch.push(job);
      rows += rowsOf(job);
      if (job.sequence !== undefined) job.sequence.busy = true;
      if (rows >= key.maxBatch || this.alone.has(job) || job.streams !== undefined) break;
    }
    return batch;
  }

  private joins(batch: readonly Job[], rows: number, job: Job): boolean {
    const { maxBatch } = job.runner;
    if (rows + rowsOf(job) > maxBatch || this.alone.has(job) || job.streams !== undefined) return false;
    return job.runner.fits(batch[0]!, job);
  }

  private expire(job: Job): void {
    this.counters.expired++;
    job.runner.stats.expired += 1;
    this.end(
      job,
      new RpcError(status.DEADLINE_EXCEEDED, 'deadline exceeded before the model could run; it was not run'),
    );
  }

  private async execute(lane: ModelLane, batch: readonly Job[]): Promise<void> {
    const beganMs = this.begin(batch);
    let answers: readonly (Answer | RpcError)[];
    try {
      answers = await this.timed(lane, latestDeadline(batch), () => lane.key.execute(batch));
    } catch (error) {
      for (const job of batch) this.release(job);
      if (batch.length > 1) this.splitUp(lane, batch);
      else this.end(batch[0]!, toRpcError(batch[0]!, error), beganMs);
      return;
    }
    this.counters.runs++;
    this.counters.jobs += batch.length;
    batch.forEach((job, i) => {
      this.release(job);
      const answer = answers[i]!;
      if (answer instanceof RpcError) this.end(job, answer, beganMs);
      else this.answer(job, answer, beganMs);
    });
  }

  /** One answer of a job that streams; the job then waits for its next turn. */
  private async streamOne(lane: ModelLane, job: Job): Promise<void> {
    let stream = this.streams.get(job);
    if (stream === undefined) {
      stream = { answers: lane.key.stream!(job), beganMs: this.begin([job]) };
      this.streams.set(job, stream);
    }
    if (this.gone.has(job)) return this.endStream(job, undefined, stream);
    let next: IteratorResult<Answer>;
    try {
      next = await this.timed(lane, job.deadlineMs, () => stream.answers.next());
    } catch (error) {
      return this.endStream(job, toRpcError(job, error), stream);
    }
    this.counters.runs++;
    if (next.done || this.gone.has(job)) return this.endStream(job, undefined, stream);
    try {
      job.done(undefined, next.value);
    } catch (error) {
      return this.endStream(job, unsendable(job, error), stream);
    }
    if (job.sequence !== undefined) job.sequence.busy = false;
    if (job.streams!.writable) this.turns.add(lane.key, job);
    else this.park(job);
  }

  private park(job: Job): void {
    this.parked.add(job);
    job.streams!.onWritable(() => {
      if (!this.parked.delete(job)) return;
      this.turns.add(job.runner, job);
      if (!this.working) void this.work();
    });
  }

  private async endStream(job: Job, error: RpcError | undefined, stream: OpenStream): Promise<void> {
    this.streams.delete(job);
    this.counters.jobs++;
    this.release(job);
    this.end(job, error, stream.beganMs);
    await stream.answers.return?.().then(undefined, () => undefined);
  }

  private begin(batch: readonly Job[]): number {
    const now = this.runNow();
    const { stats } = batch[0]!.runner;
    for (const job of batch) stats.queue.add(now - (job.arrivedMs ?? now));
    stats.lastInferenceMs = this.wallNow();
    return now;
  }

  private release(job: Job): void {
    if (job.sequence !== undefined) job.sequence.busy = false;
  }

  /** One request's values may have failed the others': each gets its own run, when its model's turn comes again. */
  private splitUp(lane: ModelLane, batch: readonly Job[]): void {
    const left = batch.filter((job) => !this.gone.has(job) || this.forget(job));
    for (const job of left) this.alone.add(job);
    lane.items.unshift(...left);
  }

  /** An answer that cannot be made is this job's failure, not the queue's. */
  private answer(job: Job, answer: Answer, beganMs: number): void {
    try {
      job.done(undefined, answer);
    } catch (error) {
      this.end(job, unsendable(job, error), beganMs);
      return;
    }
    // A stream gets its answer and then its end.
    if (job.streams !== undefined) job.done(undefined, undefined);
    this.count(job, false, beganMs);
  }

  private end(job: Job, error: RpcError | undefined, beganMs = this.runNow()): void {
    this.count(job, error !== undefined, beganMs);
    job.done(error, undefined);
  }

  private count(job: Job, failed: boolean, beganMs: number): void {
    const { stats } = job.runner;
    const now = this.runNow();
    this.left(job.runner);
    const spentMs = now - (job.arrivedMs ?? beganMs) + (job.decodeMs ?? 0);
    (failed ? stats.fail : stats.success).add(spentMs);
    if (!failed) stats.inferences += rowsOf(job);
  }

  /** It was never answered. @returns false. */
  private forget(job: Job): boolean {
    this.left(job.runner);
    job.runner.stats.cancelled += 1;
    return false;
  }

  private left(runner: Runner): void {
    runner.stats.pending -= 1;
    if (runner.stats.pending > 0 || !this.drains.has(runner)) return;
    this.drains.get(runner)!();
    this.drains.delete(runner);
  }

  private async timed<T>(lane: ModelLane, deadlineMs: number, run: () => Promise<T>): Promise<T> {
    const began = this.runNow();
    this.log.begin(deadlineMs - this.wallNow());
    try {
      return await run();
    } finally {
      this.log.end();
      // Of runs side by side most of the time is a wait for others.
      charge(lane, (this.runNow() - began) / (1 + (this.underWay.get(lane.key) ?? 0)));
    }
  }
}

function isMoreUrgent(job: Job, other: Job): boolean {
  return level(job) < level(other);
}

function level({ priority }: Job): number {
  return priority === undefined || priority === 0 ? Number.POSITIVE_INFINITY : priority;
}

function toRpcError(job: Job, error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  const failed = `model '${job.runner.name}': inference failed: ${messageOf(error)}`;
  return new RpcError(status.INTERNAL, failed);
}

function unsendable(job: Job, error: unknown): RpcError {
  return new RpcError(
    status.INTERNAL,
    `model '${job.runner.name}': its answer cannot be sent: ${messageOf(error)}`,
  );
}

function latestDeadline(batch: readonly Job[]): number {
  let latest = 0;
  for (const { deadlineMs } of batch) latest = Math.max(latest, deadlineMs);
  return latest;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
