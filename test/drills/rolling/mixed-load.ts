/**
 * What an application asks of a model all at once, each kind with a stock client of its own: unary calls at a steady rate,
 * calls of 600 KB, and one stream after the other.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client, ServiceError } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type {
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from '../../../proto/messages.js';
import { PIXELS } from '../../../services/digits/dataset.js';
import { failureText } from '../../../sidecar/cli/chaos/load/noted-call.js';
import { clientOf, STOCK_CHANNEL } from '../../../sidecar/cli/chaos/protocol/call.js';
import { until } from '../../kit/process/processes.js';
import { digitRequest } from '../faults/digit-load.js';
import { Load, type SentCall } from '../faults/load.js';

/** Pictures of a large call: 602,112 bytes. */
const MANY = 192;
const LARGE_PER_SECOND = 2;
/** Messages of a stream, and how far they are apart, ms: two seconds in all. */
const MESSAGES = 40;
const MESSAGE_MS = 50;
/** Generous: that a call fails is what matters here, not how long it takes on a busy machine. It is also the limit for each answer of a stream. */
const DEADLINE_MS = 20_000;
/** For a whole stream: a busy machine also slows the messages that it is made of. */
const STREAM_DEADLINE_MS = 60_000;
/** Two streams end meanwhile. */
const GOES_ON_MS = 2 * STREAM_DEADLINE_MS;
const CLASSES = 10;

export interface MixedLoadOptions {
  /** `host:port` of the sidecar that is called. */
  readonly target: string;
  /** Unary calls per second; default 200. */
  readonly perSecond?: number;
  /** What the nth unary call asks; default: held-out digits. */
  readonly request?: (n: number) => ModelInferRequest;
}

interface StreamEnd {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly answers: number;
  /** Empty: whole, and OK. */
  readonly failure: string;
}

/** Calls of all three kinds to the model `digits`, until `stop`. */
export class MixedLoad {
  readonly streams: StreamEnd[] = [];
  /** Versions that have answered, in the order in which they first did. */
  readonly versions: string[] = [];
  private readonly client: Client;
  private unary!: Load;
  private large!: Load;
  private streaming: Promise<void> = Promise.resolve();
  private isStopped = false;

  private constructor(target: string) {
    this.client = clientOf(target, STOCK_CHANNEL);
  }

  /** Resolves when calls of each kind have been answered. */
  static async start(options: MixedLoadOptions): Promise<MixedLoad> {
    const load = new MixedLoad(options.target);
    const { target, perSecond = 200, request = digitRequest } = options;
    const common = { target, deadlineMs: DEADLINE_MS, channel: STOCK_CHANNEL };
    load.unary = await Load.start({ ...common, perSecond, request, judge: load.judge(1) });
    load.large = await Load.start({
      ...{ ...common, perSecond: LARGE_PER_SECOND },
      ...{ request: () => largeRequest(), judge: load.judge(MANY) },
    });
    load.streaming = load.streamOn();
    return load;
  }

  get answered(): number {
    return this.unary.answered;
  }

  /** What did not end well so far, a line each. */
  get failures(): readonly string[] {
    const line = (kind: string) => (call: SentCall) =>
      `${kind} after ${Math.round(call.endMs - call.startMs)} ms: ${call.failure}`;
    return [
      ...this.unary.failures.map(line('unary')),
      ...this.large.failures.map(line('600 KB')),
      ...this.streams.filter(({ failure }) => failure !== '').map(({ failure }) => `stream: ${failure}`),
    ];
  }

  /** Resolves when calls of each kind that began after now have ended. */
  async goesOn(): Promise<void> {
    const [unary, large, streams] = [this.unary.sent, this.large.sent, this.streams.length];
    await until(
      'calls of each kind go on',
      () => {
        const { answered } = this.unary;
        return answered > unary + 50 && this.large.answered > large && this.streams.length > streams + 1;
      },
      GOES_ON_MS,
    );
  }

  /** Waits for the ends of all that is under way. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    await Promise.all([this.unary.stop(), this.large.stop(), this.streaming]);
    this.client.close();
  }

  /** Stops, and fails where anything has failed; what was called, in words. */
  async noneFailed(): Promise<string> {
    await this.stop();
    const { failures } = this;
    assert.deepEqual(failures.slice(0, 10), [], `${failures.length} failures: ${this.summary}`);
    return this.summary;
  }

  get summary(): string {
    const { unary, large, streams, failures } = this;
    const sent = `${unary.sent} unary calls, ${large.sent} of 600 KB, ${streams.length} streams`;
    return `${sent}: ${failures.length} failed`;
  }

  private judge(pictures: number) {
    return ({ model_version: version, raw_output_contents: [raw] }: ModelInferResponse) => {
      if (!this.versions.includes(version)) this.versions.push(version);
      const expected = pictures * CLASSES * 4;
      return raw?.length === expected ? undefined : `${raw?.length} bytes of ${expected}`;
    };
  }

  private async streamOn(): Promise<void> {
    while (!this.isStopped) this.streams.push(await this.stream());
  }

  /** One stream: a picture each 50 ms, and one answer to each. Never rejects. */
  private async stream(): Promise<StreamEnd> {
    const { path, requestSerialize, responseDeserialize } = protocols().inference.ModelStreamInfer;
    const startedMs = performance.now();
    const stream = this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, {
      deadline: Date.now() + STREAM_DEADLINE_MS,
    });
    const sentMs: number[] = [];
    let answers = 0;
    let slowestMs = 0;
    let failure = '';
    let isOver = false;
    stream.on('data', ({ error_message: problem }: ModelStreamInferResponse) => {
      slowestMs = Math.max(slowestMs, performance.now() - sentMs[answers]!);
      answers++;
      if (problem) failure ||= problem;
    });
    const ended = new Promise<void>((resolve) => {
      stream.on('error', (error: ServiceError) => {
        const progress = `after ${answers} answers to ${sentMs.length} messages, the slowest ${Math.round(slowestMs)} ms`;
        failure ||= `${failureText(error)}: ${error.details}, ${progress}`;
      });
      stream.on('status', () => {
        isOver = true;
        resolve();
      });
    });
    for (let n = 0; n < MESSAGES && !isOver; n++) {
      sentMs.push(performance.now());
      stream.write(digitRequest(n));
      await delay(MESSAGE_MS);
    }
    stream.end();
    await ended;
    if (failure === '' && answers !== MESSAGES) failure = `${answers} answers of ${MESSAGES}`;
    if (failure === '' && slowestMs > DEADLINE_MS) failure = `an answer took ${Math.round(slowestMs)} ms`;
    return { startedMs, endedMs: performance.now(), answers, failure };
  }
}

let large: ModelInferRequest | undefined;

function largeRequest(): ModelInferRequest {
  const parts = Array.from({ length: MANY }, (_, n) => Buffer.from(digitRequest(n).raw_input_contents![0]!));
  large ??= {
    model_name: 'digits',
    inputs: [{ name: 'pixels', datatype: 'FP32', shape: [String(MANY), String(PIXELS)] }],
    raw_input_contents: [Buffer.concat(parts)],
  };
  return large;
}
