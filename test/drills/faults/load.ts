/**
 * The application of the fault drills: a stock gRPC client without any resilience, which calls at a steady rate
 * whatever happens. An open loop: a slow answer never holds up the next call. Every call is noted, so that a drill can
 * ask afterwards what became of those sent in any stretch of time.
 */

import { setTimeout as delay } from 'node:timers/promises';
import {
  type ChannelOptions,
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  type requestCallback,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import type { NotedCall } from '../../../sidecar/cli/chaos/history/record.js';
import {
  beginNote,
  isOpen,
  noteEnd,
  noteMetadata,
  type Open,
} from '../../../sidecar/cli/chaos/load/noted-call.js';
import { EvenPace, ListedPace, PacedLoop } from '../../../sidecar/cli/chaos/load/paced-loop.js';
import { until } from '../../kit/process/processes.js';
import { callUnary, clientOf, reasonOf } from './call.js';
import { quantile } from './times.js';

/** A call whose end is told to the one that asks. */
export type AskedCall = ClientUnaryCall | ClientReadableStream<Buffer>;

/** How a load calls. */
export interface LoadOptions {
  /** `host:port`. */
  readonly target: string;
  readonly perSecond: number;
  /** When the calls are due, ms after the load has begun. Absent: at even distances, without an end. */
  readonly dueMs?: readonly number[];
  readonly deadlineMs: number;
  /** Calls in a row that have to be answered before the load begins; default 1. */
  readonly warmCalls?: number;
  /** What the nth call asks, from 0. Absent: 64 numbers, always the same. */
  readonly request?: (n: number) => ModelInferRequest;
  /** Makes the nth call. Absent: `ModelInfer` with that request. */
  readonly ask?: (client: Client, n: number, done: requestCallback<unknown>) => AskedCall;
  /** What every call says beside its request. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Of the client. Absent: without any resilience. */
  readonly channel?: ChannelOptions;
  /** What is wrong with the nth answer; undefined: nothing. It counts as a failure. */
  readonly judge?: (answer: ModelInferResponse, n: number) => string | undefined;
  /** How a failure is noted. Absent: as status and reason. */
  readonly describe?: (error: ServiceError) => string;
}

/** One call; times are of `performance.now()`. */
export interface SentCall extends NotedCall {
  /** Undefined: OK, or still under way. Else status and reason, or what is wrong with the answer. */
  readonly failure: string | undefined;
}

/** Of a load with an end: its calls are made when they are due, to the millisecond. */
const TICK_MS = { even: 4, listed: 1 };
/** What a call carries: 64 numbers. */
const VALUES = 64;

/** Calls at a steady rate, each of them recorded. */
export class Load {
  private readonly calls: SentCall[] = [];
  private readonly client: Client;
  private readonly loop: PacedLoop<'call'>;
  private next = 0;
  /** When the calls began that count. */
  private beganMs = 0;

  private constructor(private readonly options: LoadOptions) {
    this.client = clientOf(options.target, options.channel);
    const make = () => void this.calls.push(this.call());
    const tickMs = options.dueMs === undefined ? TICK_MS.even : TICK_MS.listed;
    this.loop = new PacedLoop(() => performance.now() - this.beganMs, make, tickMs);
  }

  /** Resolves when the first calls have been answered and the rest follow; those are not counted. */
  static async start(options: LoadOptions, limitMs = 20_000): Promise<Load> {
    const load = new Load(options);
    let last = load.call();
    let left = options.warmCalls ?? 1;
    const isAnswered = (): boolean => {
      if (isOpen(last)) return false;
      left = last.failure === undefined ? left - 1 : (options.warmCalls ?? 1);
      if (left === 0) return true;
      last = load.call();
      return false;
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
    const { dueMs, perSecond } = this.options;
    this.beganMs = performance.now();
    this.loop.start([['call', dueMs === undefined ? new EvenPace(perSecond, 0) : new ListedPace(dueMs)]]);
  }

  /** Waits until every call has ended. */
  async stop(): Promise<void> {
    this.pause();
    await this.ended(0, Number.POSITIVE_INFINITY);
    this.client.close();
  }

  /** Of a load whose calls are due at given times: all of them, once each has ended; times count from its begin. */
  async whole(): Promise<readonly SentCall[]> {
    const { dueMs = [] } = this.options;
    const leftMs = (dueMs.at(-1) ?? 0) + this.beganMs - performance.now();
    await until('every call is sent', () => this.sent === dueMs.length, Math.max(0, leftMs) + 5_000);
    await this.stop();
    const at = (ms: number) => ms - this.beganMs;
    return this.calls.map((call) => ({ ...call, startMs: at(call.startMs), endMs: at(call.endMs) }));
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
    const ended = this.callsIn(fromMs, Number.POSITIVE_INFINITY).filter((call) => !isOpen(call));
    const failed = ended.filter(({ failure }) => failure !== undefined).length;
    return { ok: ended.length - failed, failed };
  }

  private callsIn(fromMs: number, toMs: number): SentCall[] {
    return this.calls.filter(({ startMs }) => startMs >= fromMs && startMs <= toMs);
  }

  private async ended(fromMs: number, toMs: number): Promise<void> {
    const isOver = () => !this.callsIn(fromMs, toMs).some(isOpen);
    await until('every call has ended', isOver, this.options.deadlineMs + 5_000);
  }

  private readonly infer: NonNullable<LoadOptions['ask']> = (client, n, done) => {
    const said = { ...this.options, request: this.options.request?.(n) ?? REQUEST };
    return callUnary(client, protocols().inference.ModelInfer, said, done);
  };

  private call(): SentCall {
    const call: Open<SentCall> = beginNote({ startMs: performance.now(), failure: undefined });
    const { ask = this.infer, judge, describe = failureOf } = this.options;
    const n = this.next++;
    const sent = ask(this.client, n, (error, answer) => {
      noteEnd(call, error, performance.now());
      call.failure = error ? describe(error) : judge?.(answer as ModelInferResponse, n);
    });
    noteMetadata(call, sent as ClientUnaryCall);
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
export function summarize(calls: readonly SentCall[], fromMs = calls[0]?.startMs ?? 0) {
  const failed = calls.filter(({ failure }) => failure !== undefined);
  const tookMs = calls.map(({ startMs, endMs }) => endMs - startMs);
  const failures = [...new Set(failed.map(({ failure }) => failure!))].map((what) => {
    const alike = failed.filter(({ failure }) => failure === what).map(({ startMs }) => startMs - fromMs);
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
