import type { SaidNumber } from '../codec/engines/engine-codec.js';
import { readNumber } from '../codec/engines/said-number.js';
import type { Address } from '../config/model.js';
import { Status } from '../core/outcome/status.js';
import { exponentialMs } from '../core/retry/backoff.js';
import { type ModelClient, openModelClient, type UnaryAnswer } from '../health/model/grpc-client.js';
import type { Timer } from '../runtime/time/timers.js';
import type { AppContext } from './context.js';

/** A busy front answers late. */
const TIMEOUT_MS = 2_000;
/** Longest answer that is read, bytes. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Wait before the first new attempt, ms; doubled with each further one. */
const RETRY_MS = 1_000;
/** After so many attempts it is asked seldom. */
const QUICK_ATTEMPTS = 5;
const SELDOM_MS = 60_000;
const NOTHING = Buffer.alloc(0);

/** The engine is older than the question. */
function isUnknown(answer: UnaryAnswer): boolean {
  return answer.kind === 'status' && answer.status === Status.UNIMPLEMENTED;
}

/**
 * Asks a language-model engine for a number that holds for as long as it runs, each time it starts: how many requests it runs at once, or how long its
 * context is. What it said before counts while it does not answer.
 */
export class EngineNumber {
  /** A connection of its own, which is closed after each answer. */
  private readonly client: ModelClient;
  private timer: Timer | undefined;
  private isReady = false;
  /** Starts so far: an answer of one before is not of now. */
  private starts = 0;
  private isStopped = false;
  /** The number that it said last; 0: none. */
  private known = 0;

  /** @param onAnswer gets the number; 0: the engine does not say it, or has not for a while. */
  constructor(
    address: Address,
    private readonly said: SaidNumber,
    private readonly context: AppContext,
    private readonly onAnswer: (value: number) => void,
  ) {
    this.client = openModelClient(address, context.deps);
  }

  /** The engine is ready, or is not. */
  update(isReady: boolean): void {
    const hasStarted = isReady && !this.isReady;
    this.isReady = isReady;
    if (!hasStarted) return;
    this.starts++;
    this.timer?.cancel();
    void this.ask(1);
  }

  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
    this.client.close();
  }

  private async ask(attempt: number): Promise<void> {
    const { said, starts, client, context } = this;
    const options = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_ANSWER_BYTES };
    const answer = await client.call(said.path, NOTHING, options);
    if (this.isStopped || starts !== this.starts) return;
    client.close();
    const value = answer.kind === 'message' ? readNumber(said, answer.message) : 0;
    if (answer.kind === 'message' || isUnknown(answer)) {
      this.known = value;
      return this.onAnswer(value);
    }
    if (attempt === QUICK_ATTEMPTS && this.known === 0) this.onAnswer(0);
    if (!this.isReady) return;
    const again = () => void this.ask(attempt + 1);
    const waitMs = attempt < QUICK_ATTEMPTS ? exponentialMs(attempt, RETRY_MS) : SELDOM_MS;
    this.timer = context.deps.timers.after(waitMs, again, { unref: true });
  }
}
