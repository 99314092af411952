/** Calls to a model one after the other, with a short pause, from several callers at once, and how they ended. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceError } from '@grpc/grpc-js';
import { EFFORT } from '../mocha/effort.js';
import type { TestClient } from './model-server.js';

/** The failures that are kept, at most. */
const MAX_FAILURES = 20;

/** The status code of one call with a blank picture; 0 is OK. To ask again and again with `outrider infer` starts a process each time. */
export async function codeOfDigit(client: TestClient): Promise<number> {
  const inputs = [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }];
  const request = { model_name: 'digits', inputs, raw_input_contents: [Buffer.alloc(784 * 4)] };
  return client.infer(request, { deadline: Date.now() + 5_000 }).then(
    () => 0,
    ({ code }: ServiceError) => code,
  );
}

interface LoadOptions {
  readonly callers: number;
  /** Default `digits`. */
  readonly model?: string;
  /** Between two calls of a caller. Default 30, by night 10: each call takes two milliseconds of CPU time in all processes. */
  readonly pauseMs?: number;
}

/** Blank pictures for the model `digits` (or one with its signature), until `stop`. */
export class ModelLoad {
  /** Calls that ended with OK so far. */
  ok = 0;
  /** Code and text of the others, the first few. */
  readonly failures: string[] = [];
  /** Versions that have answered, in the order in which they first did. */
  readonly versions: string[] = [];
  private isStopped = false;
  private running: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly client: TestClient,
    private readonly model: string,
    private readonly pauseMs: number,
  ) {}

  static start(
    client: TestClient,
    { callers, model = 'digits', pauseMs = EFFORT > 1 ? 10 : 30 }: LoadOptions,
  ): ModelLoad {
    const load = new ModelLoad(client, model, pauseMs);
    load.running = Promise.all(Array.from({ length: callers }, () => load.run()));
    return load;
  }

  /** Resolves when the calls in flight have ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    const raw = Buffer.alloc(784 * 4);
    while (!this.isStopped) {
      try {
        const { model_version: version } = await this.client.infer({
          model_name: this.model,
          inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }],
          raw_input_contents: [raw],
        });
        this.ok++;
        if (!this.versions.includes(version)) this.versions.push(version);
      } catch (error) {
        const { code, details } = error as { code: number; details: string };
        if (this.failures.length < MAX_FAILURES) this.failures.push(`${code}: ${details}`);
        // Calls of a client that was closed fail in this turn: without a pause nothing else would run in this process.
        await delay(5);
      }
      if (this.pauseMs > 0) await delay(this.pauseMs);
    }
  }
}
