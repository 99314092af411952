import { decodeIndex, REPOSITORY_INDEX, writeIndexRequest } from '../../codec/repository.js';
import type { Address } from '../../config/model.js';
import type { NamedVersion } from '../../discovery/consul/registered-models.js';
import { type ModelClient, type ModelClientDeps, openModelClient } from '../../health/model/grpc-client.js';
import type { Timer } from '../../runtime/time/timers.js';

const INTERVAL_MS = 5_000;
/** A server that does not know the method may be replaced by one that does. */
const REFUSED_INTERVAL_MS = 300_000;
/** A server that runs an inference answers after it. */
const TIMEOUT_MS = 2_000;
const OPTIONS = { timeoutMs: TIMEOUT_MS, maxBytes: 256 * 1024 };
/** Triton's word; a server that was asked for the ready ones may leave it out. */
const READY = ['READY', ''];

/**
 * The models of a server that something else has started, by its RepositoryIndex (Triton's model repository extension): asked
 * every 5 s, and every 5 minutes where it does not know the method. A server that does not answer keeps the last list.
 */
export class IndexWatch {
  /** Undefined: it has said none yet, or an empty list. */
  models: readonly NamedVersion[] | undefined;
  private readonly client: ModelClient;
  private timer: Timer | undefined;
  private isClosed = false;

  /** @param onAnswer called after each list. */
  constructor(
    address: Address,
    private readonly deps: ModelClientDeps,
    private readonly onAnswer: () => void,
  ) {
    this.client = openModelClient(address, deps);
  }

  /** Asks at once, and again until `close`. */
  start(): void {
    void this.ask();
  }

  /** Asks no more. */
  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
    this.client.close();
  }

  private async ask(): Promise<void> {
    const answer = await this.client.call(REPOSITORY_INDEX, writeIndexRequest({ ready: true }), OPTIONS);
    if (this.isClosed) return;
    const isKnown = answer.kind === 'message' ? this.take(answer.message) : answer.kind === 'silent';
    const waitMs = isKnown ? INTERVAL_MS : REFUSED_INTERVAL_MS;
    this.timer = this.deps.timers.after(waitMs, () => void this.ask(), { unref: true });
  }

  /** False: the bytes are no such list. */
  private take(message: Buffer): boolean {
    try {
      const models = decodeIndex(message).filter(({ state }) => READY.includes(state));
      this.models = models.length === 0 ? undefined : models.map(({ name, version }) => ({ name, version }));
    } catch {
      return false;
    }
    this.onAnswer();
    return true;
  }
}
