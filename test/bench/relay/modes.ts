/** What is measured, and what it must come to: the table of the relay benchmark. */

import { type CallKind, LARGE_MESSAGE_BYTES, SMALL_MESSAGE_BYTES } from '../load/protocol.js';

/** One mode of the relay benchmark: its load, and the bar for it. */
export interface Mode {
  readonly name: string;
  readonly title: string;
  readonly kind: CallKind;
  readonly connections: number;
  /** Calls in flight on each connection. */
  readonly inFlight: number;
  readonly requestBytes: number;
  readonly varyingHeaders: boolean;
  /** `pair`: two proxies with mutual TLS between them. */
  readonly shape: 'hop' | 'pair';
  /** `generator`: our own, which judges every answer. `h2load`: a second opinion on the same mode. */
  readonly load: 'generator' | 'h2load';
  readonly compares: Compared;
  /** Of a paced mode: half of what the slowest can in this one is the rate. */
  readonly pacedBy?: string;
  /** What must hold, and what is hoped for: ours ÷ best peer's, or ours where `isAbsolute`. */
  readonly bar: number;
  readonly aim: number;
  readonly isAbsolute: boolean;
  /** Share of the calls that ours traces, beside ours without traces in place of the peers. */
  readonly traced?: number;
}

/**
 * What is compared. `cpu`: CPU time of a call, or of a message of `tokens`. `paced-p99`: calls at a fixed rate, whatever the
 * answers do. `added-p99`: of a message, less what it is without a proxy. `idle-memory`: resident, after ten seconds
 * without a call. `ready`: from the start of the process until it takes connections.
 */
export type Compared = 'cpu' | 'paced-p99' | 'added-p99' | 'idle-memory' | 'ready';

const HOP = {
  kind: 'unary',
  requestBytes: SMALL_MESSAGE_BYTES,
  varyingHeaders: false,
  shape: 'hop',
  load: 'generator',
  compares: 'cpu',
  isAbsolute: false,
} as const;
const AT_128 = { connections: 4, inFlight: 32 } as const;
const LARGE = { connections: 4, inFlight: 1 } as const;
const MANY = { connections: 4, inFlight: 2, kind: 'stream' } as const;
/** 64 streams. */
const TOKENS = { connections: 4, inFlight: 16, kind: 'tokens' } as const;
const NONE = { connections: 0, inFlight: 0, isAbsolute: true } as const;

type Rest = Partial<Mode> & Pick<Mode, 'connections' | 'inFlight' | 'bar' | 'aim'>;

function mode(name: string, title: string, rest: Rest): Mode {
  return { ...HOP, ...rest, name, title };
}

/** All modes, in the order of the table. */
export const MODES: readonly Mode[] = [
  mode('hop-128', '128 in flight', { ...AT_128, bar: 0.35, aim: 0.25 }),
  mode('hop-128-h2load', '128 in flight, loaded by h2load', {
    ...AT_128,
    load: 'h2load',
    bar: 0.35,
    aim: 0.25,
  }),
  mode('hop-128-varying', '128 in flight, varying headers', {
    ...AT_128,
    varyingHeaders: true,
    bar: 0.45,
    aim: 0.3,
  }),
  mode('hop-32', '32 in flight', { connections: 16, inFlight: 2, bar: 0.5, aim: 0.4 }),
  mode('hop-4', '4 in flight', { connections: 4, inFlight: 1, bar: 0.75, aim: 0.6 }),
  mode('hop-1', '1 in flight', { connections: 1, inFlight: 1, bar: 1.05, aim: 0.95 }),
  mode('mtls-pair', 'mutual-TLS pair, 128 in flight, varying headers', {
    ...AT_128,
    shape: 'pair',
    varyingHeaders: true,
    bar: 0.15,
    aim: 0.1,
  }),
  mode('upload', '602,112-byte requests, 4 in flight', {
    ...LARGE,
    requestBytes: LARGE_MESSAGE_BYTES,
    bar: 1.2,
    aim: 0.95,
  }),
  mode('download', '602,112-byte answers, 4 in flight', { ...LARGE, kind: 'download', bar: 1.2, aim: 0.95 }),
  mode('stream', 'server streaming, 1,000 messages of 100 bytes', { ...MANY, bar: 1, aim: 0.6 }),
  mode('tokens', '64 streams, 50 messages/s each', { ...TOKENS, bar: 0.9, aim: 0.6 }),
  mode('tokens-p99', '64 streams, 50 messages/s each: p99 added', {
    ...TOKENS,
    compares: 'added-p99',
    bar: 1,
    aim: 0.8,
  }),
  mode('p99', 'p99 at half the slowest peer’s capacity', {
    connections: 8,
    inFlight: 0,
    varyingHeaders: true,
    compares: 'paced-p99',
    pacedBy: 'hop-128-varying',
    bar: 1,
    aim: 0.8,
  }),
  mode('pair-upload', 'mutual-TLS pair, 602,112-byte requests', {
    ...LARGE,
    shape: 'pair',
    requestBytes: LARGE_MESSAGE_BYTES,
    bar: 1,
    aim: 0.92,
  }),
  mode('pair-stream', 'mutual-TLS pair, 1,000 messages of 100 bytes', {
    ...MANY,
    shape: 'pair',
    bar: 0.3,
    aim: 0.2,
  }),
  mode('pair-hop-1', 'mutual-TLS pair, 1 in flight', {
    ...{ connections: 1, inFlight: 1, shape: 'pair' },
    bar: 0.5,
    aim: 0.4,
  }),
  mode('pair-p99', 'mutual-TLS pair, p99 at half of what both can', {
    ...{ connections: 8, inFlight: 0, varyingHeaders: true, shape: 'pair' },
    compares: 'paced-p99',
    pacedBy: 'mtls-pair',
    bar: 0.8,
    aim: 0.6,
  }),
  // Ours ÷ ours without traces: all but the last have a bar.
  mode('traces-0', '128 in flight, traces on, no call in the sample', {
    ...AT_128,
    traced: 0,
    bar: 1.02,
    aim: 1.01,
  }),
  mode('traces-1', '128 in flight, 1 % of the calls traced', {
    ...AT_128,
    traced: 0.01,
    bar: 1.05,
    aim: 1.02,
  }),
  mode('traces-1-pair', 'mutual-TLS pair, 1 % of the calls traced', {
    ...{ ...AT_128, shape: 'pair', traced: 0.01 },
    bar: 1.05,
    aim: 1.02,
  }),
  mode('traces-100', '128 in flight, every call traced', { ...AT_128, traced: 1, bar: 10, aim: 2 }),
  mode('idle', 'memory after ten seconds without a call', {
    ...NONE,
    compares: 'idle-memory',
    bar: 70,
    aim: 55,
  }),
  mode('start', 'from the start of the process to ready', { ...NONE, compares: 'ready', bar: 400, aim: 250 }),
];
