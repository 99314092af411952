import { Worker } from 'node:worker_threads';
import { messageOf } from '../../../runtime/log/message-of.js';
import type { Timer, Timers } from '../../../runtime/time/timers.js';
import { type Instance, type InstanceList, type ReadOptions, readInstances } from './instances.js';
import type { FromWorker, ToWorker } from './messages.js';

/** Smaller answers (about 130 instances) take less than 3 ms. */
export const LARGE_BYTES = 256 * 1024;
/** The thread ends after this long without work: it holds memory that a sidecar at rest does not need. */
const IDLE_MS = 60_000;
/** 32 MiB take about a second. */
const LIMIT_MS = 20_000;
/** An answer that needs more ends the worker, not the sidecar. */
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 } as const;

/** The part of a worker thread that is used here. */
export interface ParseThread {
  postMessage(message: ToWorker, transfer?: readonly ArrayBuffer[]): void;
  on(event: 'message', listener: (message: FromWorker) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'exit', listener: () => void): unknown;
  unref(): void;
  terminate(): Promise<unknown>;
}

interface Job {
  readonly stream: Stream;
  /** The list that its places are of: the stream may have gone on to another by the time it is answered. */
  readonly before: readonly Instance[];
  readonly resolve: (list: InstanceList) => void;
  readonly reject: (error: Error) => void;
  readonly limit: Timer;
  readonly fresh: Instance[];
  parsed?: FromWorker & { kind: 'parsed' };
}

/** The answers of one query. */
export interface InstanceStream {
  /**
   * Instances that are as they were before are the same objects. Throws, or rejects, an Error on garbage. Takes
   * `body` over.
   */
  read(body: Buffer): InstanceList | Promise<InstanceList>;
  close(): void;
}

/**
 * Parses answers without holding up calls: small ones at once, large ones in a worker thread that hands them back in
 * slices, each taken in a turn of the event loop of its own. The thread is started when it is first needed and ended
 * after a minute without work; its failure is a failed parse, and the next one gets a new thread.
 */
export class ParsePool {
  /** For metrics. */
  readonly counts = { inPlace: 0, inThread: 0, threads: 0, failures: 0 };
  private thread: ParseThread | undefined;
  private readonly jobs = new Map<number, Job>();
  private idle: Timer | undefined;
  private lastId = 0;

  constructor(
    private readonly timers: Timers,
    private readonly startThread: () => ParseThread = startWorker,
  ) {}

  /** The answers of one query, compared with each other. */
  stream(options: ReadOptions): InstanceStream {
    return new Stream(this, this.nextId(), options);
  }

  /** Ends the thread; what is under way fails. */
  close(): void {
    this.end('the sidecar stops');
  }

  /** @internal */
  parse(stream: Stream, body: Buffer): Promise<InstanceList> {
    this.counts.inThread += 1;
    this.idle?.cancel();
    const job = this.nextId();
    const limit = this.timers.after(LIMIT_MS, () => this.end(`it took longer than ${LIMIT_MS} ms`), {
      unref: true,
    });
    return new Promise<InstanceList>((resolve, reject) => {
      this.jobs.set(job, { stream, before: stream.latest, resolve, reject, limit, fresh: [] });
      try {
        this.running().postMessage(
          { kind: 'parse', job, stream: stream.id, base: stream.base, ...optionsOf(stream), body },
          movable(body),
        );
      } catch (error) {
        this.finish(job)?.reject(failure(error));
      }
    });
  }

  /** @internal */
  forget(stream: Stream): void {
    this.thread?.postMessage({ kind: 'forget', stream: stream.id });
  }

  private nextId(): number {
    this.lastId += 1;
    return this.lastId;
  }

  private running(): ParseThread {
    if (this.thread !== undefined) return this.thread;
    const thread = this.startThread();
    this.thread = thread;
    this.counts.threads += 1;
    thread.unref();
    const end = (why: string): void => {
      if (this.thread === thread) this.end(why);
    };
    // A thread that was ended has no job any more.
    thread.on('message', (message) => this.take(message));
    thread.on('error', ({ message }) => end(message));
    thread.on('exit', () => end('its thread ended'));
    return thread;
  }

  private take(message: FromWorker): void {
    const job = this.jobs.get(message.job);
    if (job === undefined) return;
    if (message.kind === 'failed') {
      this.counts.failures += 1;
      return this.finish(message.job)?.reject(new Error(message.message));
    }
    if (message.kind === 'parsed') job.parsed = message;
    else for (const instance of JSON.parse(message.text) as Instance[]) job.fresh.push(instance);
    // Each slice, and what follows from the whole, in a turn of its own.
    this.timers.after(0, () => this.goOn(message.job));
  }

  private goOn(id: number): void {
    const job = this.jobs.get(id);
    if (job?.parsed === undefined) return;
    if (job.fresh.length < job.parsed.fresh) this.thread?.postMessage({ kind: 'next', job: id });
    else this.finish(id)?.resolve(job.stream.assemble(job.parsed, job.before, job.fresh));
  }

  private finish(id: number): Job | undefined {
    const job = this.jobs.get(id);
    this.jobs.delete(id);
    job?.limit.cancel();
    if (this.jobs.size === 0) {
      this.idle?.cancel();
      this.idle = this.timers.after(IDLE_MS, () => this.end('nothing to do'), { unref: true });
    }
    return job;
  }

  private end(why: string): void {
    const { thread } = this;
    this.thread = undefined;
    thread?.terminate().catch(() => {});
    for (const id of [...this.jobs.keys()]) {
      this.counts.failures += 1;
      this.finish(id)?.reject(failure(why));
    }
    this.idle?.cancel();
  }
}

class Stream implements InstanceStream {
  /** The job whose list both sides have; 0: none. */
  base = 0;
  latest: readonly Instance[] = [];

  constructor(
    private readonly pool: ParsePool,
    readonly id: number,
    readonly options: ReadOptions,
  ) {}

  read(body: Buffer): InstanceList | Promise<InstanceList> {
    if (body.length > LARGE_BYTES) return this.pool.parse(this, body);
    this.pool.counts.inPlace += 1;
    const list = readInstances(body, this.options);
    this.forget();
    const instances = sharedWith(this.latest, list.instances);
    this.latest = instances;
    return { ...list, instances };
  }

  close(): void {
    this.forget();
    this.latest = [];
  }

  assemble(
    parsed: FromWorker & { kind: 'parsed' },
    before: readonly Instance[],
    fresh: readonly Instance[],
  ): InstanceList {
    const { from, job, skipped, problem } = parsed;
    const instances = new Array<Instance>(from.length);
    let next = 0;
    for (let i = 0; i < from.length; i += 1) {
      const place = from[i]!;
      if (place >= 0) {
        instances[i] = before[place]!;
      } else {
        instances[i] = fresh[next]!;
        next += 1;
      }
    }
    this.latest = instances;
    this.base = job;
    return { instances, skipped, problem };
  }

  private forget(): void {
    if (this.base === 0) return;
    this.base = 0;
    this.pool.forget(this);
  }
}

/** Those of `now`, and for each that is as it was, the object it was. */
function sharedWith(before: readonly Instance[], now: readonly Instance[]): readonly Instance[] {
  if (before.length === 0) return now;
  const known = new Map(before.map((instance) => [instance.key, instance]));
  return now.map((instance) => {
    const old = known.get(instance.key);
    return old !== undefined && JSON.stringify(old) === JSON.stringify(instance) ? old : instance;
  });
}

/** A body that has its memory to itself is moved and not copied. */
function movable(body: Buffer): ArrayBuffer[] {
  return body.buffer instanceof ArrayBuffer && body.buffer.byteLength > LARGE_BYTES ? [body.buffer] : [];
}

/** The error of a parse that has not ended. */
function failure(why: unknown): Error {
  return new Error(`the answer was not parsed: ${messageOf(why)}`);
}

/** Its program lies beside this file. */
function startWorker(): ParseThread {
  return new Worker(new URL('./worker.js', import.meta.url), { resourceLimits: LIMITS, name: 'parse' });
}

/** How the answers of a stream are read at this moment: a getter does not reach the other thread. */
function optionsOf({ options: { wan, placeKeys } }: Stream): Pick<ReadOptions, 'wan' | 'placeKeys'> {
  return { wan, placeKeys };
}
