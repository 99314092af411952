/**
 * One end of a connection without a socket: the engine, a handler that writes down what it is told, and owners that do
 * the same. Octets are carried by the test.
 */
import { Connection } from '../../../sidecar/http2/connection.js';
import type { ConnectionHandler, Role } from '../../../sidecar/http2/connection-state.js';
import { type HeaderField, makeField } from '../../../sidecar/http2/hpack/field.js';
import { type HeaderBlock, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import type { LimitName } from '../../../sidecar/http2/limits.js';
import { DEFAULT_LOCAL_SETTINGS, type LocalSettings } from '../../../sidecar/http2/settings.js';
import type { Stream } from '../../../sidecar/http2/stream.js';
import { Output } from '../../../sidecar/http2/write-buffer.js';
import type { Field } from './hpack-lite.js';
import { Told } from './recorded-events.js';
import { type Split, WHOLE } from './splits.js';

export const REQUEST: readonly Field[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/test.Service/Call'],
  [':authority', 'service'],
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
];
export const RESPONSE: readonly Field[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];
export const TRAILERS: readonly Field[] = [['grpc-status', '0']];

export function listOf(pairs: readonly Field[]): StableList {
  let list = StableList.root();
  for (const [name, value] of pairs) list = list.with(makeField(name, value));
  return list;
}

export const NONE: readonly HeaderField[] = [];

export interface SideOptions {
  readonly local?: Partial<LocalSettings>;
  /** Server: what to do with a request, after it has its owner. */
  readonly onStream?: (told: Told, side: Side) => void;
  /** Whether payload is credited as it arrives. Default true. */
  readonly credits?: boolean;
}

export class Side implements ConnectionHandler {
  readonly connection: Connection;
  /** Owners of every stream there was, in order. */
  readonly told: Told[] = [];
  readonly limits: LimitName[] = [];
  readonly defects: unknown[] = [];
  readonly fatal: { code: number; message: string }[] = [];
  readonly goaways: { code: number; debug: string }[] = [];
  settingsSeen = 0;
  pongs = 0;
  rooms = 0;
  nowMs = 1000;
  /** Called at every onRoom. */
  onRoomHook: (() => void) | null = null;
  onGoawayHook: (() => void) | null = null;

  constructor(
    role: Role,
    private readonly options: SideOptions = {},
  ) {
    this.connection = new Connection(role, { ...DEFAULT_LOCAL_SETTINGS, ...options.local }, this);
    this.connection.start();
  }

  get state(): Connection['state'] {
    return this.connection.state;
  }

  /** Feeds what the peer sent. */
  feed(octets: Buffer, split: Split = WHOLE): void {
    split(octets, (piece) => this.connection.receive(piece, this.nowMs));
  }

  /** All that wants to be written, about `room` octets of it at most. */
  take(room = Number.POSITIVE_INFINITY): Buffer {
    const output = new Output();
    output.begin();
    this.connection.flush(output, room);
    return Buffer.concat(output.finish());
  }

  /** Client: a new stream and its request. */
  open(pairs: readonly Field[] = REQUEST, end: 'end' | 'more' = 'end'): Told {
    const told = this.newTold();
    told.stream = this.connection.openStream(told);
    this.connection.sendHeaders(told.stream, listOf(pairs), NONE, end === 'end');
    return told;
  }

  respond(told: Told, pairs: readonly Field[] = RESPONSE, end: 'end' | 'more' = 'more'): void {
    this.connection.sendHeaders(told.stream, listOf(pairs), NONE, end === 'end');
  }

  send(told: Told, octets: Buffer, end: 'end' | 'more' = 'more'): void {
    this.connection.sendData(told.stream, octets, 0, octets.length, end === 'end');
  }

  trailers(told: Told, pairs: readonly Field[] = TRAILERS): void {
    this.connection.sendTrailers(told.stream, listOf(pairs), NONE);
  }

  reset(told: Told, code = 8): void {
    this.connection.reset(told.stream, code);
  }

  // ---- ConnectionHandler ----

  onStream(stream: Stream, block: HeaderBlock, ended: boolean): void {
    const told = this.newTold();
    told.stream = stream;
    stream.owner = told;
    told.onHeaders(stream, block, ended);
    this.options.onStream?.(told, this);
  }

  onPeerSettings(): void {
    this.settingsSeen++;
  }
  onPong(): void {
    this.pongs++;
  }
  onGoaway(code: number, debug: string): void {
    this.goaways.push({ code, debug });
    this.onGoawayHook?.();
  }
  onRoom(): void {
    this.rooms++;
    this.onRoomHook?.();
  }
  onDirty(): void {}
  onLimit(name: LimitName): void {
    this.limits.push(name);
  }
  onFatal(code: number, message: string): void {
    this.fatal.push({ code, message });
  }
  onDefect(error: unknown): void {
    this.defects.push(error);
  }

  private newTold(): Told {
    const told = new Told(this.connection, this.options.credits ?? true);
    this.told.push(told);
    return told;
  }
}

/** Carries octets both ways until neither side has anything to say. */
export function pump(a: Side, b: Side, split: Split = WHOLE, room = 64 * 1024): void {
  for (let quiet = false; !quiet; ) {
    const toB = a.take(room);
    b.feed(toB, split);
    const toA = b.take(room);
    a.feed(toA, split);
    quiet = toA.length === 0 && toB.length === 0;
  }
}

export function pair(client: SideOptions = {}, server: SideOptions = {}): { client: Side; server: Side } {
  return { client: new Side('client', client), server: new Side('server', server) };
}
