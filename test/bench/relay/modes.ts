/** What is measured, and what it must come to: the table of the relay benchmark. */

import { type CallKind, SMALL_MESSAGE_BYTES } from '../load/protocol.js';

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
const AT_128 = { connections: 4, inFlight: 32 } as const;

type Rest = Partial<Mode> & Pick<Mode, 'connections' | 'inFlight' | 'bar' | 'aim'>;

function mode(name: string, title: string, rest: Rest): Mode {
  return { ...HOP, ...rest, name, title };
}

/** All modes, in the order of the table. */
export const MODES: readonly Mode[] = [
  mode('hop-128', '128 in flight', { ...AT_128, bar: 0.35, aim: 0.2 }),
  mode('hop-128-h2load', '128 in flight, loaded by h2load', {
    ...AT_128,
    load: 'h2load',
    bar: 0.35,
    aim: 0.2,
  }),
  mode('hop-128-varying', '128 in flight, varying headers', {
    ...AT_128,
    varyingHeaders: true,
    bar: 0.5,
    aim: 0.3,
  }),
  mode('hop-32', '32 in flight', { connections: 16, inFlight: 2, bar: 0.6, aim: 0.4 }),
  mode('hop-4', '4 in flight', { connections: 4, inFlight: 1, bar: 0.8, aim: 0.6 }),
  mode('hop-1', '1 in flight', { connections: 1, inFlight: 1, bar: 1, aim: 0.9 }),
  mode('mtls-pair', 'mutual-TLS pair, 128 in flight, varying headers', {
    ...AT_128,
    shape: 'pair',
    varyingHeaders: true,
    bar: 0.5,
    aim: 0.3,
  }),
  mode('upload', '602,112-byte requests, 4 in flight', {
    connections: 4,
    inFlight: 1,
    requestBytes: 602_112,
    bar: 1.2,
    aim: 1,
  }),
  mode('stream', 'server streaming, 1,000 messages of 100 bytes', {
    connections: 4,
    inFlight: 2,
    kind: 'stream',
    bar: 0.6,
    aim: 0.4,
  }),
  mode('p99', 'p99 at half the slowest peer’s capacity', {
    connections: 8,
    inFlight: 0,
    varyingHeaders: true,
    compares: 'paced-p99',
    bar: 1.1,
    aim: 0.8,
  }),
];
