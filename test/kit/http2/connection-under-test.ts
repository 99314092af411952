/**
 * The other end played by hand: frames written octet by octet and answers read by code that shares nothing with the
 * engine under test.
 */

import { REQUEST, Side, type SideOptions } from './connection-pair.js';
import {
  errorCodeOf,
  type Frame,
  FrameReader,
  FrameType,
  headers,
  PREFACE,
  settings,
  settingsAck,
} from './h2-frames.js';
import { encode, type Field, HpackDecoder } from './hpack-lite.js';
import { type Split, WHOLE } from './splits.js';

/** What came out since the last look, in words: `RST_STREAM 1 PROTOCOL`, `HEADERS 3 end`. */
export class Raw {
  readonly reader: FrameReader;
  readonly hpack = new HpackDecoder();
  private block: Buffer[] = [];

  constructor(
    readonly side: Side,
    public split: Split,
    isClient: boolean,
  ) {
    this.reader = new FrameReader(isClient ? PREFACE.length : 0);
  }

  send(...frames: readonly Buffer[]): this {
    this.side.feed(Buffer.concat(frames), this.split);
    return this;
  }

  /** Header lists are decoded in any case, so that the table stays in step. */
  read(room?: number): { frame: Frame; words: string }[] {
    return this.reader.push(this.side.take(room)).map((frame) => ({ frame, words: this.words(frame) }));
  }

  frames(room?: number): Frame[] {
    return this.read(room).map(({ frame }) => frame);
  }

  said(room?: number): string[] {
    return this.read(room).map(({ words }) => words);
  }

  private words(frame: Frame): string {
    const { type, flags, streamId, payload } = frame;
    const end = (type === FrameType.data || type === FrameType.headers) && flags & 1 ? ' end' : '';
    switch (type) {
      case FrameType.data:
        return `DATA ${streamId} ${payload.length}${end}`;
      case FrameType.headers:
      case FrameType.continuation:
        this.block.push(payload);
        if (!(flags & 4)) return `${type === 1 ? 'HEADERS' : 'CONTINUATION'} ${streamId}${end} …`;
        return `${type === 1 ? 'HEADERS' : 'CONTINUATION'} ${streamId} ${this.fields()}${end}`;
      case FrameType.rstStream:
        return `RST_STREAM ${streamId} ${CODES[errorCodeOf(frame)]}`;
      case FrameType.settings:
        return flags & 1 ? 'SETTINGS ack' : 'SETTINGS';
      case FrameType.ping:
        return `PING${flags & 1 ? ' ack' : ''} ${payload.toString('hex')}`;
      case FrameType.goaway:
        return `GOAWAY ${payload.readUInt32BE(0)} ${CODES[errorCodeOf(frame)]}`;
      case FrameType.windowUpdate:
        return `WINDOW_UPDATE ${streamId} ${payload.readUInt32BE(0)}`;
      default:
        return `type ${type}`;
    }
  }

  /** The status of a response, or all of a request's or trailers' fields. */
  private fields(): string {
    const fields = this.hpack.decode(Buffer.concat(this.block));
    this.block = [];
    const status = fields.find(([name]) => name === ':status' || name === 'grpc-status');
    return status ? status[1] : (fields.find(([name]) => name === ':path')?.[1] ?? `${fields.length} fields`);
  }
}

const CODES = [
  'NO_ERROR',
  'PROTOCOL',
  'INTERNAL',
  'FLOW_CONTROL',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE',
  'REFUSED',
  'CANCEL',
  'COMPRESSION',
  'CONNECT',
  'CALM',
  'SECURITY',
  'HTTP_1_1',
];

/** A server under test that has seen a client's preface and acknowledgement; its own handshake has been read. */
export function rawClient(options: SideOptions = {}, split: Split = WHOLE): Raw {
  const raw = new Raw(new Side('server', options), split, false);
  raw.send(PREFACE, settings(), settingsAck());
  raw.frames();
  return raw;
}

/** A client under test that has seen a server's SETTINGS with `values`. */
export function rawServer(
  options: SideOptions = {},
  split: Split = WHOLE,
  values: readonly (readonly [number, number])[] = [],
): Raw {
  const raw = new Raw(new Side('client', options), split, true);
  raw.send(settings(values), settingsAck());
  raw.frames();
  return raw;
}

export const request = (id: number, end: 'end' | 'more' = 'end', more: readonly Field[] = []): Buffer =>
  headers(id, encode([...REQUEST, ...more]), end === 'end' ? 5 : 4);

export const response = (id: number, end: 'end' | 'more' = 'more', more: readonly Field[] = []): Buffer =>
  headers(
    id,
    encode([[':status', '200'], ['content-type', 'application/grpc'], ...more]),
    end === 'end' ? 5 : 4,
  );

export const trailers = (id: number, more: readonly Field[] = []): Buffer =>
  headers(id, encode([['grpc-status', '0'], ...more]), 5);
