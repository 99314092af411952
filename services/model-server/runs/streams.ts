import type { RpcError } from '../rpc.js';
import { neverRead, toRpcError, unsendable } from './failures.js';
import type { Answer, Job, Runner } from './job.js';
import type { JobEnd } from './ledger.js';
import type { Later } from './queue-timeouts.js';

/** Between two looks at streams that are not read, ms at least: a limit of 0 is no busy loop. */
const LEAST_LOOK_MS = 10;

/** What the turns of streams need of the queue. */
export interface StreamHost {
  /** The wait of the job is over. */
  begun(job: Job): void;
  /** Runs and measures one answer. */
  timed<T>(job: Job, run: () => Promise<T>): Promise<T>;
  /** The job waits for its next turn, at the end of its model's queue. */
  again(job: Job): void;
  /** Whether the caller has gone. */
  hasGone(job: Job): boolean;
  /** Counts the job, and tells its caller unless that has gone. */
  ended(job: Job, how: JobEnd, error: RpcError | undefined): void;
  /** Ms of a monotonic clock. */
  now(): number;
  readonly later: Later;
}

/**
 * Jobs that have many answers: one answer a turn. A job whose caller does not read is parked and makes no further answer.
 * However a stream ends, its iterator is told (`return`), so that the model gives back what it holds for it.
 */
export class Streams {
  private readonly open = new Map<Job, AsyncIterator<Answer>>();
  /** Jobs whose caller does not read, and since when. */
  private readonly parked = new Map<Job, number>();

  constructor(private readonly host: StreamHost) {}

  /** Whether the job has had its first turn. */
  has(job: Job): boolean {
    return this.open.has(job);
  }

  /** One answer of the job, which then waits for its next turn, is parked or ends. */
  async turn(runner: Runner, job: Job): Promise<void> {
    const { host } = this;
    let next: IteratorResult<Answer>;
    try {
      const answers = this.open.get(job) ?? this.begin(runner, job);
      next = await host.timed(job, () => answers.next());
    } catch (error) {
      return this.close(job, host.hasGone(job) ? 'cancelled' : 'fail', toRpcError(job, error));
    }
    if (host.hasGone(job)) return this.close(job, 'cancelled');
    if (next.done) return this.close(job, 'success');
    try {
      job.done(undefined, next.value);
    } catch (error) {
      return this.close(job, 'fail', unsendable(job, error));
    }
    // What it was told may have made the caller end the call.
    if (host.hasGone(job)) return this.close(job, 'cancelled');
    if (job.streams!.writable) host.again(job);
    else this.park(job);
  }

  /** Takes a parked job away. @returns false where it is not parked. */
  unpark(job: Job): boolean {
    return this.parked.delete(job);
  }

  /** Ends the job and, where it has begun, its stream. Resolves when the model has given back what it held for it. */
  async close(job: Job, how: JobEnd, error?: RpcError): Promise<void> {
    const answers = this.open.get(job);
    this.open.delete(job);
    // First, as the next request of its sequence may begin at once.
    const returned = giveBack(answers);
    this.host.ended(job, how, error);
    await returned;
  }

  /**
   * From now on, ends those streams of a model whose caller has read nothing for `limitMs`: a model that is unloaded does not
   * wait for them. A stream that is read, however slowly, goes on, and so does one that waits for its model.
   * @returns what stops it.
   */
  endUnread(runner: Runner, limitMs: number): () => void {
    const { host } = this;
    let stop = (): void => {};
    const look = (): void => {
      const now = host.now();
      let nextMs = limitMs;
      for (const [job, sinceMs] of [...this.parked]) {
        if (job.runner !== runner) continue;
        const leftMs = limitMs - (now - sinceMs);
        if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
        else if (this.parked.delete(job)) void this.close(job, 'fail', neverRead(job, now - sinceMs));
      }
      stop = host.later(Math.max(LEAST_LOOK_MS, nextMs), look);
    };
    look();
    return () => stop();
  }

  private begin(runner: Runner, job: Job): AsyncIterator<Answer> {
    this.host.begun(job);
    const answers = runner.stream!(job);
    this.open.set(job, answers);
    return answers;
  }

  private park(job: Job): void {
    this.parked.set(job, this.host.now());
    job.streams!.onWritable(() => {
      if (this.parked.delete(job)) this.host.again(job);
    });
  }
}

/** Tells the model that the stream has ended. Its failure to give back changes nothing for the caller. */
async function giveBack(answers: AsyncIterator<Answer> | undefined): Promise<void> {
  try {
    await answers?.return?.();
  } catch {
    // The job has its end already.
  }
}
