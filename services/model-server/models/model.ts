import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TensorSpec } from '../../../proto/datatypes.js';
import { loadCode } from '../code/load-code.js';
import type { Upstream } from '../code/model-code.js';
import { NetworkExecutor } from '../network/network-executor.js';
import { ModelSession } from '../network/session.js';
import { messageOf, RpcError, status } from '../rpc.js';
import type { Executor, InputSpec } from '../runs/executor.js';
import { type Answer, inferencesOf, type Job, type Runner } from '../runs/job.js';
import { Sequences } from '../runs/sequences.js';
import { ModelStats } from '../runs/statistics.js';
import { type Card, parseCard } from './card.js';
import { requireChecksum } from './checksum.js';
import { provable, proveGolden } from './golden.js';
import type { Found } from './repository.js';
import type { Signature } from './signature.js';

/** `failed`: the reason is in `why`, and it is not loaded again. */
export type ModelState = 'loading' | 'ready' | 'unloading' | 'failed';

/** The clocks of a model, and the way to others. */
export interface ModelDeps {
  /** Epoch ms. */
  readonly wallNow: () => number;
  /** Ms of a monotonic clock. */
  readonly runNow: () => number;
  /** See `CodeSource`. */
  readonly upstream: (name: string) => Upstream;
  /** One line for people. */
  readonly log: (line: string) => void;
}

/**
 * One model of the repository and its state: loading, then ready or failed with the reason. It becomes ready only after
 * its golden input went through its own session and matched.
 */
export class Model implements Runner, Signature {
  readonly name: string;
  readonly version: string;
  readonly stats = new ModelStats();
  /** Where `sequence` stands in the card, once it is loaded. */
  sequences: Sequences | undefined;
  stream?: (job: Job) => AsyncIterator<Answer>;
  private readonly directory: string;
  private readonly problem: string;
  private executor: Executor | undefined;
  private loadedCard: Card | undefined;
  private current: ModelState = 'loading';
  private reason = 'it is still loading';
  /** It is loaded, and runs for the first time. */
  private isWarming = false;

  constructor(
    found: Found,
    private readonly deps: ModelDeps,
  ) {
    this.name = found.name;
    this.version = found.version;
    this.directory = found.directory;
    this.problem = found.problem;
  }

  /** Where it is between loading and serving. */
  get state(): ModelState {
    return this.current;
  }

  /** Why the model is not ready, in one line; empty when it is. */
  get why(): string {
    return this.reason;
  }

  /** Undefined until it is loaded. */
  get card(): Card | undefined {
    return this.loadedCard;
  }

  /** As the file or the code declares them; empty until it is loaded. */
  get inputs(): readonly InputSpec[] {
    return this.executor?.inputs ?? [];
  }

  get outputs(): readonly TensorSpec[] {
    return this.executor?.outputs ?? [];
  }

  /** Rows of the card; 1 without a block `batching`, and until it is loaded. */
  get maxBatch(): number {
    return this.loadedCard?.batching?.max_batch ?? 1;
  }

  get maxDelayMs(): number {
    return this.loadedCard?.batching?.max_delay ?? 0;
  }

  get preferredRows(): readonly number[] {
    return this.loadedCard?.batching?.preferred ?? [];
  }

  get concurrency(): number {
    return this.loadedCard?.concurrency ?? 1;
  }

  /** Whether requests may have parameters that only the model knows. */
  get takesParameters(): boolean {
    return this.executor?.kind === 'code';
  }

  /** Whether one request may have many answers (Triton: decoupled). */
  get isDecoupled(): boolean {
    return this.stream !== undefined;
  }

  /** What ModelMetadata tells beyond names and shapes. */
  get properties(): Record<string, string> {
    const card = this.loadedCard;
    const optional = this.inputs.filter((input) => input.optional).map(({ name }) => name);
    return {
      ...(optional.length === 0 ? {} : { optional_inputs: optional.join(',') }),
      ...card?.properties,
      ...(card?.description ? { description: card.description } : {}),
      ...(card?.labels ? { labels: JSON.stringify(card.labels) } : {}),
      max_batch: String(this.maxBatch),
      state: this.current.toUpperCase(),
      ...(this.isWarming && this.current === 'loading' ? { phase: 'WARMING' } : {}),
      ...(this.reason === '' ? {} : { reason: this.reason }),
    };
  }

  /** Never rejects: what goes wrong becomes the state and the reason. */
  async load(): Promise<void> {
    let executor: Executor | undefined;
    try {
      if (this.problem !== '') throw new Error(this.problem);
      const card = parseCard(await readText(join(this.directory, 'model.yaml')));
      executor = await this.open(card);
      requireLabels(executor, card);
      this.isWarming = true;
      if (!executor.streamsOnly) await proveGolden(provable(executor), card);
      this.take(executor, card);
    } catch (error) {
      this.current = 'failed';
      this.reason = messageOf(error);
      await this.close(executor);
    }
  }

  fits(head: Job, job: Job): boolean {
    return this.executor!.fits(head, job);
  }

  /** Rejects with an RpcError (UNAVAILABLE) unless the model is loaded. */
  async execute(jobs: readonly Job[]): Promise<readonly (Answer | RpcError)[]> {
    if (this.executor === undefined)
      throw new RpcError(status.UNAVAILABLE, `model '${this.name}' is not ready`);
    const { answers, times } = await this.executor.execute(jobs);
    const rows = jobs.reduce((sum, job) => sum + inferencesOf(job), 0);
    this.stats.recordRun(rows, jobs.length, times);
    // What was decoded for one request is no part of the others' time.
    for (const { decodeMs } of jobs) this.stats.input.ms += decodeMs ?? 0;
    return answers;
  }

  /** From now on it takes no request; what waits is still answered. */
  retire(reason: string): void {
    this.current = 'unloading';
    this.reason = reason;
  }

  /** Gives the memory back. No run may be under way. Never rejects. */
  async release(reason = 'the server is stopping'): Promise<void> {
    const { executor } = this;
    this.executor = undefined;
    this.current = 'failed';
    this.reason = reason;
    await this.close(executor);
  }

  /** What cannot be closed is no fault of the other models: it is said in the log, and the process goes on. */
  private async close(executor: Executor | undefined): Promise<void> {
    try {
      await executor?.release();
    } catch (error) {
      this.deps.log(`${this.name} version ${this.version}: not closed: ${messageOf(error)}`);
    }
  }

  private async open(card: Card): Promise<Executor> {
    const file = join(this.directory, 'model.onnx');
    const { code, settings, runtime } = card;
    // With code a model.onnx need not be there.
    if (code === undefined || card.sha256 !== undefined || (await exists(file)))
      await requireChecksum(file, card.sha256);
    if (code === undefined) {
      const session = await ModelSession.load(file, runtime);
      try {
        return new NetworkExecutor(session, card.sequence?.state ?? [], this.deps.runNow);
      } catch (error) {
        await session.release();
        throw error;
      }
    }
    const { name, version, directory, deps } = this;
    const { runNow: now, wallNow, upstream } = deps;
    return loadCode({ name, version, directory, code, settings, runtime, now, wallNow, upstream });
  }

  private take(executor: Executor, card: Card): void {
    this.executor = executor;
    this.loadedCard = card;
    if (executor.stream !== undefined) this.stream = (job) => executor.stream!(job);
    if (card.sequence !== undefined) {
      const { idle, max } = card.sequence;
      this.sequences = new Sequences(this.name, { idleMs: idle, max }, this.deps.runNow);
    }
    this.current = 'ready';
    this.reason = '';
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`model.yaml cannot be read: ${(error as NodeJS.ErrnoException).code} ${path}`);
  }
}

function requireLabels({ outputs }: Executor, card: Card): void {
  if (card.labels === undefined) return;
  const count = card.labels.length;
  if (outputs.some((o) => o.shape.at(-1) === count || o.shape.at(-1) === -1)) return;
  throw new Error(`labels: found ${count}, but no output has ${count} as its last dimension`);
}
