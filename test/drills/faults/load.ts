/**
 * The application of the fault drills: one stock gRPC client without any resilience, which makes calls of one kind at a steady rate
 * whatever happens, so that a drill can ask afterwards what became of those sent in any stretch of time.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelOptions, Client, ClientUnaryCall, requestCallback, ServiceError } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { DEFAULT_BOUNDS } from '../../../sidecar/cli/chaos/history/bounds.js';
import { findBroken } from '../../../sidecar/cli/chaos/history/check.js';
import type { CheckedCall, ExecutionRecord } from '../../../sidecar/cli/chaos/history/record.js';
import type { Broken } from '../../../sidecar/cli/chaos/history/violation.js';
import {
  beginNote,
  failureText,
  isOpen,
  noteCall,
  type Open,
} from '../../../sidecar/cli/chaos/load/noted-call.js';
import { even, OpenLoad, type Paces, warmUp } from '../../../sidecar/cli/chaos/load/open-load.js';
import { Pace } from '../../../sidecar/cli/chaos/load/pace.js';
import { callUnary, clientOf } from '../../../sidecar/cli/chaos/protocol/call.js';
import { present } from '../../../sidecar/config/present.js';
import { until } from '../../kit/process/processes.js';
import { quantile } from './times.js';

/** A call whose end is told to the one that asks. */
export type AskedCall = Pick<ClientUnaryCall, 'on'>;

export interface LoadOptions {
  /** `host:port`. */
  readonly target: string;
  readonly perSecond: number;
  /** When the calls are due, ms after the load has begun, which is 0 in their records. Absent: at even distances, without an end. */
  readonly dueMs?: readonly number[];
  readonly deadlineMs: number;
  /** Calls that may be under way at once: one that is due beyond that is not made. Absent: any number. */
  readonly mostOpen?: number;
  /** Calls in a row that have to be answered before the load begins; default 1. */
  readonly warmCalls?: number;
  /** What the nth call asks, from 0. Absent: 64 numbers, always the same. */
  readonly request?: (n: number) => ModelInferRequest;
  /** Makes the nth call; an answer that is a text says what is wrong with it. Absent: `ModelInfer` with that request. */
  readonly ask?: (client: Client, n: number, done: requestCallback<unknown>) => AskedCall;
  /** The model must not do a call twice. Absent: it may. */
  readonly isOnce?: boolean;
  /** What every call says beside its request. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Of the client. Absent: without any resilience. */
  readonly channel?: ChannelOptions;
  /** What is wrong with the nth answer; undefined: nothing. It counts as a failure. */
  readonly judge?: (answer: ModelInferResponse, n: number) => string | undefined;
  /** How a failure is noted. Absent: as status and reason. */
  readonly describe?: (error: ServiceError) => string;
}

/** The id of the nth call of a load. */
export function idOfCall(n: number): string {
  return `call-${n}`;
}

/** One call; times are of `performance.now()`, unless the calls of the load are due at given times. */
export interface SentCall extends CheckedCall {
  /** Undefined: OK, or still under way. Else status and reason, or what is wrong with the answer. */
  readonly failure: string | undefined;
}

/** What a call carries: 64 numbers. */
const VALUES = 64;

export class Load extends OpenLoad<'call', SentCall> {
  private readonly client = clientOf(this.options.target, this.options.channel);
  private next = 0;

  private constructor(private readonly options: LoadOptions) {
    super({
      ...(options.dueMs === undefined ? { originMs: 0 } : { tickMs: 1 }),
      ...present('mostOpen', options.mostOpen),
    });
  }

  /** Resolves when the first calls have been answered and the rest follow; those are not counted. */
  static async start(options: LoadOptions, limitMs = 20_000): Promise<Load> {
    const load = new Load(options);
    const bad = await warmUp({
      ...{ wanted: options.warmCalls ?? 1, limitMs, make: () => load.make() },
      isGood: ({ failure }) => failure === undefined,
    });
    if (bad !== undefined) {
      load.client.close();
      throw new Error(`no call through the mesh within ${limitMs} ms, ${options.target}: ${bad.failure}`);
    }
    load.start(load.pacing);
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

  override resume(paces = this.pacing): void {
    super.resume(paces);
  }

  /** Waits until every call has ended. */
  override async stop() {
    this.pause();
    await this.ended(0, Number.POSITIVE_INFINITY);
    const ended = await super.stop(0);
    this.client.close();
    return ended;
  }

  /** Of a load whose calls are due at given times: all of them, once each has ended. */
  async whole(): Promise<readonly SentCall[]> {
    const { dueMs = [] } = this.options;
    const leftMs = Math.max(0, (dueMs.at(-1) ?? 0) - this.now());
    await until('every call is sent', () => this.sent === dueMs.length, leftMs + 5_000);
    await this.stop();
    return this.calls;
  }

  /** The calls sent in this stretch of time, by default until now, once each of them has ended. */
  async between(fromMs: number, toMs = performance.now()): Promise<readonly SentCall[]> {
    await this.ended(fromMs, toMs);
    return this.within(fromMs, toMs);
  }

  /** The calls sent from `fromMs` until `forMs` after it, once that time is over and each of them has ended. */
  async during(fromMs: number, forMs: number): Promise<readonly SentCall[]> {
    await delay(Math.max(0, fromMs + forMs - performance.now()));
    return this.between(fromMs, fromMs + forMs);
  }

  /** How those sent since then have ended that have. */
  since(fromMs: number): { readonly ok: number; readonly failed: number } {
    const ended = this.within(fromMs, Number.POSITIVE_INFINITY).filter((call) => !isOpen(call));
    const failed = ended.filter(({ failure }) => failure !== undefined).length;
    return { ok: ended.length - failed, failed };
  }

  /** The greatest lateness of our own event loop since then, ms. */
  lagSince(fromMs: number): number {
    return this.lagIn(fromMs, performance.now());
  }

  private get pacing(): Paces<'call'> {
    const { dueMs, perSecond } = this.options;
    return dueMs === undefined ? even({ call: perSecond }) : () => [['call', new Pace(dueMs)] as const];
  }

  private async ended(fromMs: number, toMs: number): Promise<void> {
    const limitMs = this.options.deadlineMs + 5_000;
    if (!(await this.haveEnded(fromMs, toMs, limitMs)))
      throw new Error(`did not happen within ${limitMs} ms: every call has ended`);
  }

  private readonly infer: NonNullable<LoadOptions['ask']> = (client, n, done) => {
    const said = { ...this.options, request: this.options.request?.(n) ?? REQUEST };
    return callUnary(client, protocols().inference.ModelInfer, said, done);
  };

  protected override make(): SentCall {
    const { ask = this.infer, judge, describe = failureText, deadlineMs, isOnce = false } = this.options;
    const n = this.next++;
    const startMs = this.now();
    const call: Open<SentCall> = beginNote({
      ...{ id: idOfCall(n), startMs, deadlineMs: startMs + deadlineMs, idempotent: !isOnce },
      ...{ answer: 'none' as const, failure: undefined },
    });
    noteCall<unknown>(call, {
      now: () => this.now(),
      make: (done) => ask(this.client, n, done),
      ended: (error, answer) => {
        if (error) {
          call.failure = describe(error);
          return;
        }
        call.failure = typeof answer === 'string' ? answer : judge?.(answer as ModelInferResponse, n);
        call.answer = call.failure === undefined ? 'right' : 'wrong';
      },
    });
    return call;
  }
}

export const REQUEST: ModelInferRequest = {
  model_name: 'fixed',
  inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', String(VALUES)] }],
  raw_input_contents: [new Uint8Array(4 * VALUES)],
};

/** How late a call may be over: a test also runs beside other load, and a client that is late several times is late by the sum. */
export const LATE_MS = 500;

/** What of the calls of a load broke an invariant. @param executions of the models, where they log the ids of these calls. */
export function brokenBy(
  calls: readonly SentCall[],
  { lagMs }: Pick<Load, 'lagMs'>,
  executions?: readonly ExecutionRecord[],
): readonly Broken[] {
  const logged =
    executions === undefined ? ({ executions: [], hasNoExecutions: true } as const) : { executions };
  const history = { ...logged, calls, clientLagMs: lagMs, marks: [], replicas: [] };
  return findBroken(history, { ...DEFAULT_BOUNDS, deadlineMs: LATE_MS });
}

/** Invariants that the calls of a load have broken, a line each. For a load that is over. */
export function brokenIn(load: Load): readonly string[] {
  return brokenBy(load.calls, load).map(
    ({ invariant, callId, found }) => `${invariant}: ${callId}: ${found}`,
  );
}

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
