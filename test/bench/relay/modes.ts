/** What is measured, and what it must come to: the table of the relay benchmark. */

import { type CallKind, SMALL_MESSAGE_BYTES } from '../load/protocol.js';

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
  /** What is compared. `paced-p99`: calls at half the rate of the slowest peer, whatever the answers do. */
  readonly compares: 'cpu' | 'paced-p99';
  /** Ours ÷ best peer's: what must hold, and what is hoped for. */
  readonly bar: number;
  readonly aim: number;
}

const HOP = {
  kind: 'unary',
  requestBytes: SMALL_MESSAGE_BYTES,
  varyingHeaders: false,
  shape: 'hop',
  load: 'generator',
  compares: 'cpu',
} as const;

export const MODES: readonly Mode[] = [
  { ...HOP, name: 'hop-128', title: '128 in flight', connections: 4, inFlight: 32, bar: 0.35, aim: 0.2 },
  {
    ...HOP,
    name: 'hop-128-h2load',
    title: '128 in flight, loaded by h2load',
    load: 'h2load',
    connections: 4,
    inFlight: 32,
    bar: 0.35,
    aim: 0.2,
  },
  {
    ...HOP,
    name: 'hop-128-varying',
    title: '128 in flight, varying headers',
    varyingHeaders: true,
    connections: 4,
    inFlight: 32,
    bar: 0.5,
    aim: 0.3,
  },
  { ...HOP, name: 'hop-32', title: '32 in flight', connections: 16, inFlight: 2, bar: 0.6, aim: 0.4 },
  { ...HOP, name: 'hop-4', title: '4 in flight', connections: 4, inFlight: 1, bar: 0.8, aim: 0.6 },
  { ...HOP, name: 'hop-1', title: '1 in flight', connections: 1, inFlight: 1, bar: 1, aim: 0.9 },
  {
    ...HOP,
    name: 'mtls-pair',
    title: 'mutual-TLS pair, 128 in flight, varying headers',
    shape: 'pair',
    varyingHeaders: true,
    connections: 4,
    inFlight: 32,
    bar: 0.5,
    aim: 0.3,
  },
  {
    ...HOP,
    name: 'upload',
    title: '602,112-byte requests, 4 in flight',
    requestBytes: 602_112,
    connections: 4,
    inFlight: 1,
    bar: 1.2,
    aim: 1,
  },
  {
    ...HOP,
    name: 'stream',
    title: 'server streaming, 1,000 messages of 100 bytes',
    kind: 'stream',
    connections: 4,
    inFlight: 2,
    bar: 0.6,
    aim: 0.4,
  },
  {
    ...HOP,
    name: 'p99',
    title: 'p99 at half the slowest peer’s capacity',
    varyingHeaders: true,
    compares: 'paced-p99',
    connections: 8,
    inFlight: 0,
    bar: 1.1,
    aim: 0.8,
  },
];
