import type { Socket } from 'node:net';
import type { Timers } from '../../runtime/time/timers.js';

/** Time that a collector has for a request, from its first byte to the last one of the answer, ms. */
export const SEND_TIMEOUT_MS = 10_000;
/** Of an answer so much is read, bytes: more is no answer to this request. */
export const MAX_ANSWER_BYTES = 64 * 1024;

/** What became of a request. */
export type SendResult =
  /** `rejected`: spans or data points of it that the collector does not want; `why`: what it says of them. */
  | { readonly kind: 'taken'; readonly rejected: number; readonly why?: string }
  /** Another try gives the same. */
  | { readonly kind: 'refused'; readonly why: string }
  /** It may be tried again, at the earliest after so long where the collector says it. */
  | { readonly kind: 'failed'; readonly why: string; readonly waitMs?: number };

/** Brings requests to a collector, one at a time. */
export interface OtlpSender {
  /** Never rejects. */
  send(body: Buffer): Promise<SendResult>;
  /** Ends the connection; a request under way fails. */
  close(): void;
}

/** Where a collector is, and what requests to it carry. */
export interface CollectorSettings {
  /** `http://…` or `https://…`. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Where collectors take one kind of telemetry (OTLP specification). */
export interface Signal {
  /** For an endpoint without a path. */
  readonly httpPath: string;
  readonly grpcPath: string;
}

export const TRACES: Signal = {
  httpPath: '/v1/traces',
  grpcPath: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
};

export const METRICS: Signal = {
  httpPath: '/v1/metrics',
  grpcPath: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
};

/** What a sender is made with, beside the collector. */
export interface SenderOptions {
  readonly signal: Signal;
  readonly timers: Timers;
  /** Default: `SEND_TIMEOUT_MS`. */
  readonly timeoutMs?: number;
  /** Opens a connection to a collector without TLS; absent: the operating system does. */
  readonly dial?: () => Socket;
}
