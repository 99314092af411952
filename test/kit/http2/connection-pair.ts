/**
 * One end of a connection without a socket: the engine, a handler that writes down what it is told, and owners that do
 * the same. Bytes are carried by the test.
 */

import { Connection } from '../../../sidecar/http2/connection.js';
import type { ConnectionHandler, Role } from '../../../sidecar/http2/connection-state.js';
import { type HeaderField, makeField } from '../../../sidecar/http2/hpack/field.js';
import { type HeaderBlock, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import type { LimitName } from '../../../sidecar/http2/limits.js';
import { ownBuffer } from '../../../sidecar/http2/owned-buffer.js';
import { DEFAULT_LOCAL_SETTINGS, type LocalSettings } from '../../../sidecar/http2/settings.js';
import type { Stream } from '../../../sidecar/http2/stream.js';
import { Output } from '../../../sidecar/http2/write-buffer.js';
import type { Field } from './hpack-lite.js';
import { grpcFields } from './raw-client.js';
import { responseFields } from './raw-server.js';
import { Told } from './recorded-events.js';
import { type Split, WHOLE } from './splits.js';

export const REQUEST: readonly Field[] = grpcFields('/test.Service/Call');
export const RESPONSE: readonly Field[] = responseFields();
export const TRAILERS: readonly Field[] = [['grpc-status', '0']];

/** Whether what is sent is the last of its stream. */
export type End = 'end' | 'more';

export function listOf(pairs: readonly Field[]): StableList {
  return StableList.of(pairs.map(([name, value]) => makeField(name, value)));
}

export const NONE: readonly HeaderField[] = [];

export interface SideOptions {
  readonly local?: Partial<LocalSettings>;
  /** Server: what to do with a request, after it has its owner. */
  readonly onStream?: (told: Told, side: Side) => void;
  /** Whether payload is credited as it arrives. Default true. */
  readonly credits?: boolean;
}

/** Server: every request gets a response without payload. */
export const ANSWERS_AT_ONCE: SideOptions = {
  onStream: (told, side) => side.respond(told, undefined, 'end'),
};

/** What a connection wants to write, about `room` bytes of it at most. */
export function flushed(connection: Connection, room = Number.POSITIVE_INFINITY): Buffer {
  const output = new Output();
  output.begin();
  connection.flush(output, room);
  return Buffer.concat(output.finish());
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
  nowMs = 1000;
  onRoom: () => void = () => {};

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
  feed(bytes: Buffer, split: Split = WHOLE): void {
    split(bytes, (piece) => this.connection.receive(ownBuffer(piece), this.nowMs));
  }

  /** All that wants to be written, about `room` bytes of it at most. */
  take(room = Number.POSITIVE_INFINITY): Buffer {
    return flushed(this.connection, room);
  }

  /** Client: a new stream and its request. */
  open(pairs: readonly Field[] = REQUEST, end: End = 'end'): Told {
    const told = this.newTold();
    told.stream = this.connection.openStream(told);
    this.connection.sendHeaders(told.stream, listOf(pairs), NONE, end === 'end');
    return told;
  }

  respond(told: Told, pairs: readonly Field[] = RESPONSE, end: End = 'more'): void {
    this.connection.sendHeaders(told.stream, listOf(pairs), NONE, end === 'end');
  }

  send(told: Told, bytes: Buffer, end: End = 'more'): void {
    this.connection.sendData(told.stream, bytes, 0, bytes.length, end === 'end');
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
  }
  onDirty(): void {}
  onPatient(): void {}
  onUnread(): void {}
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

/** Bytes that are carried at once. */
const CARRIED_BYTES = 64 * 1024;

/** Carries bytes both ways until neither side has anything to say. */
export function pump(a: Side, b: Side, split: Split = WHOLE): void {
  for (let quiet = false; !quiet; ) {
    const toB = a.take(CARRIED_BYTES);
    b.feed(toB, split);
    const toA = b.take(CARRIED_BYTES);
    a.feed(toA, split);
    quiet = toA.length === 0 && toB.length === 0;
  }
}

export function pair(client: SideOptions = {}, server: SideOptions = {}): { client: Side; server: Side } {
  return { client: new Side('client', client), server: new Side('server', server) };
}
