import type { LoadsLayout } from '../codec/engines/engine-codec.js';
import { type EngineLoad, readEngineLoad } from '../codec/engines/engine-load.js';
import type { Address } from '../config/model.js';
import { Status } from '../core/outcome/status.js';
import { type ModelClient, openModelClient } from '../health/model/grpc-client.js';
import type { Timer } from '../runtime/time/timers.js';
import type { AppContext } from './context.js';

/** Between an answer and the next question, ms. */
const EVERY_MS = 1_000;
const TIMEOUT_MS = 2_000;
/** Longest answer that is read, bytes: hundreds of parts. */
const MAX_ANSWER_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

/** Asks a language-model engine each second what it has to do, while it serves. One that does not know the question is not asked again until it starts anew. */
export class EngineLoads {
  /** A connection of its own. */
  private readonly client: ModelClient;
  private timer: Timer | undefined;
  private isReady = false;
  private isAsking = false;
  /** It does not know the question. */
  private isRefused = false;
  private isStopped = false;

  /** @param onLoad gets each load that it says. */
  constructor(
    address: Address,
    private readonly layout: LoadsLayout,
    private readonly context: AppContext,
    private readonly onLoad: (load: EngineLoad) => void,
  ) {
    this.client = openModelClient(address, context.deps);
  }

  /** The engine is ready, or is not. */
  update(isReady: boolean): void {
    const hasStarted = isReady && !this.isReady;
    this.isReady = isReady;
    if (!isReady) {
      this.timer?.cancel();
      this.client.close();
    }
    if (!hasStarted) return;
    this.isRefused = false;
    void this.ask();
  }

  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
    this.client.close();
  }

  private async ask(): Promise<void> {
    if (this.isAsking || this.isStopped) return;
    this.isAsking = true;
    const { layout, client } = this;
    const options = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_ANSWER_BYTES };
    const answer = await client.call(layout.path, NOTHING, options);
    this.isAsking = false;
    if (this.isStopped || !this.isReady) return;
    if (answer.kind === 'status' && answer.status === Status.UNIMPLEMENTED) this.isRefused = true;
    const load = answer.kind === 'message' ? readEngineLoad(layout, answer.message) : undefined;
    if (load !== undefined) this.onLoad(load);
    if (!this.isRefused)
      this.timer = this.context.deps.timers.after(EVERY_MS, () => void this.ask(), { unref: true });
  }
}
