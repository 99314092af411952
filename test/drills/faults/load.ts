/**
 * The application of the fault drills: a stock gRPC client without any resilience, which calls at a steady rate
 * whatever happens. An open loop: a slow answer never holds up the next call. Every call is noted, so that a drill can
 * ask afterwards what became of those sent in any stretch of time.
 */

import { setTimeout as delay } from 'node:timers/promises';
import {
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  type Metadata,
  type requestCallback,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { degradedIn } from '../../../sidecar/cli/chaos/load/noted-call.js';
import { EvenPace, PacedLoop } from '../../../sidecar/cli/chaos/load/paced-loop.js';
import { until } from '../../kit/process/processes.js';
import { callUnary, clientOf, LOCAL_CHANNEL, reasonOf, STOCK_CHANNEL } from './call.js';
import { quantile } from './times.js';

/** A call whose end is told to the one that asks. */
export type AskedCall = ClientUnaryCall | ClientReadableStream<Buffer>;

/** How a load calls. */
export interface LoadOptions {
  /** `host:port`. */
  readonly target: string;
  readonly perSecond: number;
  readonly deadlineMs: number;
  /** What the nth call asks, from 0. Absent: 64 numbers, always the same. */
  readonly request?: (n: number) => ModelInferRequest;
  /** Makes the nth call. Absent: `ModelInfer` with that request. */
  readonly ask?: (client: Client, n: number, done: requestCallback<unknown>) => AskedCall;
  /** What every call says beside its request. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** A client as it comes, with the retries that gRPC does by itself. Absent: without any resilience. */
  readonly isStock?: boolean;
  /** What is wrong with the nth answer; undefined: nothing. It counts as a failure. */
  readonly judge?: (answer: ModelInferResponse, n: number) => string | undefined;
  /** How a failure is noted. Absent: as status and reason. */
  readonly describe?: (error: ServiceError) => string;
}

/** One call; times are of `performance.now()`. */
export interface SentCall {
  readonly sentMs: number;
  /** Undefined: still under way. */
  tookMs: number | undefined;
  /** Undefined: OK. Else status and reason. */
  failure: string | undefined;
  /** `outrider-degraded` of the answer. */
  degraded?: string;
}

const TICK_MS = 4;
/** What a call carries: 64 numbers. */
const VALUES = 64;

/** Calls at a steady rate, each of them recorded. */
export class Load {
  private readonly calls: SentCall[] = [];
  private readonly client: Client;
  private readonly loop = new PacedLoop<'call'>(
    () => performance.now(),
    () => void this.calls.push(this.call()),
    TICK_MS,
  );
  private next = 0;

  private constructor(private readonly options: LoadOptions) {
    this.client = clientOf(options.target, options.isStock === true ? STOCK_CHANNEL : LOCAL_CHANNEL);
  }

  /** Resolves when a first call has been answered and the rest follow; that one is not counted. */
  static async start(options: LoadOptions, limitMs = 20_000): Promise<Load> {
    const load = new Load(options);
    let last = load.call();
    const isAnswered = (): boolean => {
      if (last.failure !== undefined) last = load.call();
      return last.tookMs !== undefined && last.failure === undefined;
    };
    await until(`a call through the mesh, ${options.target}`, isAnswered, limitMs).catch((error: Error) => {
      load.client.close();
      throw new Error(`${error.message}: ${last.failure}`);
    });
    load.resume();
    return load;
  }

  /** Calls that did not end well so far. */
  get failures(): readonly SentCall[] {
    return this.calls.filter(({ failure }) => failure !== undefined);
  }

  get answered(): number {
    return this.since(0).ok;
  }

  get sent(): number {
    return this.calls.length;
  }

  /** Sends nothing until `resume`. */
  pause(): void {
    this.loop.stop();
  }

  resume(): void {
    if (this.loop.isRunning) return;
    this.loop.start([['call', new EvenPace(this.options.perSecond, performance.now())]]);
  }

  /** Waits until every call has ended. */
  async stop(): Promise<void> {
    this.pause();
    await this.ended(0, Number.POSITIVE_INFINITY);
    this.client.close();
  }

  /** The calls sent in this stretch of time, by default until now, once each of them has ended. */
  async between(fromMs: number, toMs = performance.now()): Promise<readonly SentCall[]> {
    await this.ended(fromMs, toMs);
    return this.callsIn(fromMs, toMs);
  }

  /** The calls sent from `fromMs` until `forMs` after it, once that time is over and each of them has ended. */
  async during(fromMs: number, forMs: number): Promise<readonly SentCall[]> {
    await delay(Math.max(0, fromMs + forMs - performance.now()));
    return this.between(fromMs, fromMs + forMs);
  }

  /** How those sent since then have ended that have. */
  since(fromMs: number): { readonly ok: number; readonly failed: number } {
    const ended = this.callsIn(fromMs, Number.POSITIVE_INFINITY).filter(({ tookMs }) => tookMs !== undefined);
    const failed = ended.filter(({ failure }) => failure !== undefined).length;
    return { ok: ended.length - failed, failed };
  }

  private callsIn(fromMs: number, toMs: number): SentCall[] {
    return this.calls.filter(({ sentMs }) => sentMs >= fromMs && sentMs <= toMs);
  }

  private async ended(fromMs: number, toMs: number): Promise<void> {
    const open = () => this.callsIn(fromMs, toMs).some(({ tookMs }) => tookMs === undefined);
    await until('every call has ended', () => !open(), this.options.deadlineMs + 5_000);
  }

  private readonly infer: NonNullable<LoadOptions['ask']> = (client, n, done) => {
    const said = { ...this.options, request: this.options.request?.(n) ?? REQUEST };
    return callUnary(client, protocols().inference.ModelInfer, said, done);
  };

  private call(): SentCall {
    const call: SentCall = { sentMs: performance.now(), tookMs: undefined, failure: undefined };
    const { ask = this.infer, judge, describe = failureOf } = this.options;
    const n = this.next++;
    const sent = ask(this.client, n, (error, answer) => {
      call.tookMs = performance.now() - call.sentMs;
      call.failure = error ? describe(error) : judge?.(answer as ModelInferResponse, n);
    });
    (sent as ClientUnaryCall).once('metadata', (headers: Metadata) => {
      const degraded = degradedIn(headers);
      if (degraded !== undefined) call.degraded = degraded;
    });
    return call;
  }
}

function failureOf({ code, metadata }: ServiceError): string {
  return `${status[code]} ${reasonOf(metadata)}`;
}

export const REQUEST: ModelInferRequest = {
  model_name: 'fixed',
  inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', String(VALUES)] }],
  raw_input_contents: [new Uint8Array(4 * VALUES)],
};

/** What became of calls that have ended. */
export type LoadSummary = ReturnType<typeof summarize>;

/** Counts, times, and failures by kind. `fromMs`: when the stretch began in which they were sent. */
export function summarize(calls: readonly SentCall[], fromMs = calls[0]?.sentMs ?? 0) {
  const failed = calls.filter(({ failure }) => failure !== undefined);
  const tookMs = calls.map((call) => call.tookMs ?? 0);
  const failures = [...new Set(failed.map(({ failure }) => failure!))].map((what) => {
    const alike = failed.filter(({ failure }) => failure === what).map(({ sentMs }) => sentMs - fromMs);
    return { what, count: alike.length, firstMs: alike[0]!, lastMs: alike.at(-1)! };
  });
  return {
    sent: calls.length,
    ok: calls.length - failed.length,
    failed: failed.length,
    failures,
    p50Ms: quantile(tookMs, 0.5),
    p99Ms: quantile(tookMs, 0.99),
    slowestMs: quantile(tookMs, 1),
  };
}
