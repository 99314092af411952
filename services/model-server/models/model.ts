import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { messageOf, RpcError, status } from '../rpc.js';
import type { Runner } from '../runs/batch.js';
import { type Card, parseCard } from './card.js';
import { proveGolden } from './golden.js';
import type { Found } from './repository.js';
import { ModelSession } from './session.js';
import type { Signature } from './signature.js';

/** `failed`: the reason is in `why`, and it is not loaded again. */
export type ModelState = 'loading' | 'ready' | 'failed';

/**
 * One model of the repository and its state: loading, then ready or failed with the reason. It becomes ready only after
 * its golden input went through its own session and matched.
 */
export class Model implements Runner, Signature {
  readonly name: string;
  readonly version: string;
  private readonly directory: string;
  private readonly problem: string;
  private session: ModelSession | undefined;
  private card: Card | undefined;
  private current: ModelState = 'loading';
  private reason = 'it is still loading';

  constructor(found: Found) {
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

  /** As the file declares them; empty until it is loaded. */
  get inputs(): readonly TensorSpec[] {
    return this.session?.inputs ?? [];
  }

  get outputs(): readonly TensorSpec[] {
    return this.session?.outputs ?? [];
  }

  get outputCount(): number {
    return this.outputs.length;
  }

  /** Rows of the card; 1 without a block `batching`, and until it is loaded. */
  get maxBatch(): number {
    return this.card?.batching?.max_batch ?? 1;
  }

  /** What ModelMetadata tells beyond names and shapes. */
  get properties(): Record<string, string> {
    const { card } = this;
    return {
      ...card?.properties,
      ...(card?.description ? { description: card.description } : {}),
      ...(card?.labels ? { labels: JSON.stringify(card.labels) } : {}),
      max_batch: String(this.maxBatch),
      state: this.current.toUpperCase(),
      ...(this.reason === '' ? {} : { reason: this.reason }),
    };
  }

  /** Never rejects: what goes wrong becomes the state and the reason. */
  async load(): Promise<void> {
    let session: ModelSession | undefined;
    try {
      if (this.problem !== '') throw new Error(this.problem);
      const card = parseCard(await readText(join(this.directory, 'model.yaml')));
      const file = join(this.directory, 'model.onnx');
      await requireChecksum(file, card.sha256);
      session = await ModelSession.load(file);
      requireLabels(session, card);
      await proveGolden(session, card);
      this.session = session;
      this.card = card;
      this.current = 'ready';
      this.reason = '';
    } catch (error) {
      await session?.release();
      this.current = 'failed';
      this.reason = messageOf(error);
    }
  }

  /** Throws an RpcError (UNAVAILABLE) unless the model is ready. */
  run(inputs: readonly Tensor[], wanted: readonly number[]): Promise<Tensor[]> {
    if (this.session === undefined)
      throw new RpcError(status.UNAVAILABLE, `model '${this.name}' is not ready`);
    return this.session.run(inputs, wanted);
  }

  /** No run may be under way. */
  async release(): Promise<void> {
    const { session } = this;
    this.session = undefined;
    this.current = 'failed';
    this.reason = 'the server is stopping';
    await session?.release();
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`model.yaml cannot be read: ${(error as NodeJS.ErrnoException).code} ${path}`);
  }
}

async function requireChecksum(path: string, expected: string | undefined): Promise<void> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    throw new Error(`model.onnx cannot be read: ${(error as NodeJS.ErrnoException).code} ${path}`);
  }
  const found = hash.digest('hex');
  if (expected !== undefined && found !== expected) {
    throw new Error(`model.onnx has sha256 ${found}, expected ${expected} of model.yaml`);
  }
}

function requireLabels(session: ModelSession, card: Card): void {
  if (card.labels === undefined) return;
  const count = card.labels.length;
  if (session.outputs.some((o) => o.shape.at(-1) === count || o.shape.at(-1) === -1)) return;
  throw new Error(`labels: found ${count}, but no output has ${count} as its last dimension`);
}
