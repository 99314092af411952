/**
 * The application of the fault drills: a stock gRPC client without any resilience, which calls at a steady rate
 * whatever happens. An open loop: a slow answer never holds up the next call. Every call is noted, so that a drill can
 * ask afterwards what became of those sent in any stretch of time.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { until } from '../../kit/process/processes.js';
import { LOCAL_CHANNEL, reasonOf, STOCK_CHANNEL } from './call.js';

/** How a load calls. */
export interface LoadOptions {
  /** `host:port`. */
  readonly target: string;
  readonly perSecond: number;
  readonly deadlineMs: number;
  /** What the nth call asks, from 0. Absent: 64 numbers, always the same. */
  readonly request?: (n: number) => ModelInferRequest;
  /** What every call says beside its request. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** A client as it comes, with the retries that gRPC does by itself. Absent: without any resilience. */
  readonly isStock?: boolean;
  /** What is wrong with an answer; undefined: nothing. It counts as a failure. */
  readonly judge?: (answer: ModelInferResponse, request: ModelInferRequest) => string | undefined;
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

/** Calls that failed in the same way. */
export interface Failure {
  readonly what: string;
  readonly count: number;
  /** Of the first and the last call that ended so, since the stretch began. */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** What became of calls. */
export interface LoadSummary {
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  readonly failures: readonly Failure[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
}

const TICK_MS = 4;
/** What a call carries: 64 numbers. */
const VALUES = 64;

/** Calls at a steady rate, each of them recorded. */
export class Load {
  private readonly calls: SentCall[] = [];
  private readonly client: Client;
  private timer: NodeJS.Timeout | undefined;
  private dueMs = 0;
  private count = 0;

  private constructor(private readonly options: LoadOptions) {
    const channel = options.isStock === true ? STOCK_CHANNEL : LOCAL_CHANNEL;
    this.client = new Client(options.target, credentials.createInsecure(), channel);
  }

  /** Resolves when a first call has been answered and the rest follow; that one is not counted. */
  static async start(options: LoadOptions, limitMs = 20_000): Promise<Load> {
    const load = new Load(options);
    let last: SentCall = load.call();
    await until(
      `a call through the mesh, ${options.target}`,
      () => {
        if (last.tookMs === undefined) return false;
        if (last.failure === undefined) return true;
        last = load.call();
        return false;
      },
      limitMs,
    ).catch((error: Error) => {
      load.client.close();
      throw new Error(`${error.message}: ${last.failure}`);
    });
    load.resume();
    return load;
  }

  /** Sends nothing until `resume`. */
  pause(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  resume(): void {
    if (this.timer !== undefined) return;
    this.dueMs = performance.now();
    this.timer = setInterval(() => this.sendWhatIsDue(), TICK_MS);
  }

  /** Waits until every call has ended. */
  async stop(): Promise<void> {
    this.pause();
    await this.ended(0, Number.POSITIVE_INFINITY);
    this.client.close();
  }

  /** The calls sent in this stretch of time, once each of them has ended. */
  async between(fromMs: number, toMs: number): Promise<readonly SentCall[]> {
    await this.ended(fromMs, toMs);
    return this.sent(fromMs, toMs);
  }

  /** The calls sent from `fromMs` until `forMs` after it, once that time is over and each of them has ended. */
  async during(fromMs: number, forMs: number): Promise<readonly SentCall[]> {
    await delay(Math.max(0, fromMs + forMs - performance.now()));
    return this.between(fromMs, fromMs + forMs);
  }

  /** How those sent since then have ended that have. */
  since(fromMs: number): { readonly ok: number; readonly failed: number } {
    const ended = this.sent(fromMs, Number.POSITIVE_INFINITY).filter(({ tookMs }) => tookMs !== undefined);
    const failed = ended.filter(({ failure }) => failure !== undefined).length;
    return { ok: ended.length - failed, failed };
  }

  private sent(fromMs: number, toMs: number): SentCall[] {
    return this.calls.filter(({ sentMs }) => sentMs >= fromMs && sentMs <= toMs);
  }

  private async ended(fromMs: number, toMs: number): Promise<void> {
    const open = () => this.sent(fromMs, toMs).some(({ tookMs }) => tookMs === undefined);
    await until('every call has ended', () => !open(), this.options.deadlineMs + 5_000);
  }

  private sendWhatIsDue(): void {
    const nowMs = performance.now();
    for (; this.dueMs <= nowMs; this.dueMs += 1_000 / this.options.perSecond) this.calls.push(this.call());
  }

  private call(): SentCall {
    const { path, requestSerialize, responseDeserialize } = protocols().inference.ModelInfer;
    const call: SentCall = { sentMs: performance.now(), tookMs: undefined, failure: undefined };
    const { deadlineMs, request: requestOf, judge, metadata = {} } = this.options;
    const said = new Metadata();
    for (const [key, value] of Object.entries(metadata)) said.set(key, value);
    const deadline = Date.now() + deadlineMs;
    const request = requestOf?.(this.count++) ?? REQUEST;
    const sent = this.client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      said,
      { deadline },
      (error, answer) => {
        call.tookMs = performance.now() - call.sentMs;
        call.failure = error
          ? `${status[error.code]} ${reasonOf(error.metadata)}`
          : judge?.(answer!, request);
      },
    );
    sent.once('metadata', (headers: Metadata) => {
      const [degraded] = headers.get('outrider-degraded');
      if (degraded !== undefined) call.degraded = String(degraded);
    });
    return call;
  }
}

export const REQUEST: ModelInferRequest = {
  model_name: 'fixed',
  inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', String(VALUES)] }],
  raw_input_contents: [new Uint8Array(4 * VALUES)],
};

/** Of calls that have ended. */
export function summarize(calls: readonly SentCall[], fromMs = calls[0]?.sentMs ?? 0): LoadSummary {
  const failed = calls.filter(({ failure }) => failure !== undefined);
  const sorted = calls.map(({ tookMs }) => tookMs ?? 0).sort((a, b) => a - b);
  const at = (ratio: number) => sorted[Math.min(sorted.length - 1, Math.floor(ratio * sorted.length))] ?? 0;
  const kinds = [...new Set(failed.map(({ failure }) => failure!))];
  const failures = kinds.map((what) => {
    const alike = failed.filter(({ failure }) => failure === what);
    return {
      what,
      count: alike.length,
      firstMs: alike[0]!.sentMs - fromMs,
      lastMs: alike.at(-1)!.sentMs - fromMs,
    };
  });
  return {
    sent: calls.length,
    ok: calls.length - failed.length,
    failed: failed.length,
    failures,
    ...{ p50Ms: at(0.5), p99Ms: at(0.99), slowestMs: at(1) },
  };
}
