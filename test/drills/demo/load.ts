/**
 * The application of the demonstration: a stock gRPC client without any resilience of its own, which sends held-out
 * digits at a steady rate whatever happens, each with a deadline, and knows the right answers.
 */

import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferResponse } from '../../../proto/messages.js';
import { type Digit, heldOut, PIXELS } from '../../../services/digits/dataset.js';

/** How the demo calls. */
export interface LoadOptions {
  readonly target: string;
  readonly perSecond: number;
  readonly deadlineMs: number;
  /** With the retries that gRPC does by itself, of calls that were never processed. */
  readonly isStock?: boolean;
}

/** A call that was not answered with OK. */
export interface FailedCall {
  /** Milliseconds since the load began. */
  readonly atMs: number;
  readonly what: string;
}

const TICK_MS = 5;

/** Calls with held-out digits at a steady rate. */
export class Load {
  sent = 0;
  answered = 0;
  right = 0;
  readonly failures: FailedCall[] = [];
  readonly latenciesMs: number[] = [];
  private readonly digits: readonly Digit[] = heldOut();
  private readonly client: Client;
  private readonly beganMs = performance.now();
  private readonly timer: NodeJS.Timeout;
  private allDone: (() => void) | undefined;

  constructor(private readonly options: LoadOptions) {
    this.client = new Client(options.target, credentials.createInsecure(), {
      'grpc.enable_retries': options.isStock === true ? 1 : 0,
    });
    this.timer = setInterval(() => this.sendWhatIsDue(), TICK_MS);
  }

  get elapsedMs(): number {
    return performance.now() - this.beganMs;
  }

  /** Sends nothing more; resolves when every call has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    if (this.sent > this.answered + this.failures.length) {
      await new Promise<void>((resolve) => {
        this.allDone = resolve;
      });
    }
    this.client.close();
  }

  /** An open loop: a slow answer never holds up the next question. */
  private sendWhatIsDue(): void {
    const due = Math.floor((this.elapsedMs / 1000) * this.options.perSecond);
    while (this.sent < due) this.send(this.digits[this.sent % this.digits.length]!);
  }

  private send(digit: Digit): void {
    this.sent++;
    const { inference } = protocols();
    const { path, requestSerialize, responseDeserialize } = inference.ModelInfer;
    const request = {
      model_name: 'digits',
      inputs: [{ name: 'pixels', datatype: 'FP32', shape: ['1', String(PIXELS)] }],
      raw_input_contents: [
        new Uint8Array(digit.pixels.buffer, digit.pixels.byteOffset, digit.pixels.byteLength),
      ],
    };
    const deadline = Date.now() + this.options.deadlineMs;
    const startMs = performance.now();
    this.client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      { deadline },
      (error, answer) => {
        if (error) this.failed(error, startMs);
        else this.succeeded(answer!, digit, performance.now() - startMs);
        if (this.sent === this.answered + this.failures.length) this.allDone?.();
      },
    );
  }

  private succeeded(answer: ModelInferResponse, digit: Digit, tookMs: number): void {
    this.answered++;
    this.latenciesMs.push(tookMs);
    if (readDigit(answer) === digit.label) this.right++;
  }

  private failed(error: ServiceError, startMs: number): void {
    const reason = String(error.metadata?.get('outrider-reason')[0] ?? 'none');
    const what = `${status[error.code]}: ${error.details} (outrider-reason: ${reason})`;
    this.failures.push({ atMs: startMs - this.beganMs, what });
  }
}

/** The most probable class: the greatest of the ten numbers. */
function readDigit(answer: ModelInferResponse): number {
  const at = answer.outputs.findIndex((output) => output.datatype === 'FP32');
  const raw = answer.raw_output_contents[at]!;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  let best = 0;
  for (let i = 1; i < raw.byteLength / 4; i++) {
    if (view.getFloat32(4 * i, true) > view.getFloat32(4 * best, true)) best = i;
  }
  return best;
}
