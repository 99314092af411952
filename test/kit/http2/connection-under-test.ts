/**
 * The other end played by hand: frames written byte by byte and answers read by code that shares nothing with the
 * engine under test.
 */

import { type End, REQUEST, RESPONSE, Side, type SideOptions, TRAILERS } from './connection-pair.js';
import * as h2 from './h2-frames.js';
import { type Frame, FrameReader, FrameType, PREFACE } from './h2-frames.js';
import { encode, type Field, HpackDecoder } from './hpack-lite.js';
import type { Told } from './recorded-events.js';
import { type Split, WHOLE } from './splits.js';

type Settings = readonly (readonly [number, number])[];

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
  private read(): { frame: Frame; words: string }[] {
    return this.reader.push(this.side.take()).map((frame) => ({ frame, words: this.words(frame) }));
  }

  frames(): Frame[] {
    return this.read().map(({ frame }) => frame);
  }

  /** Payload of the DATA frames since the last look. */
  payload(): Buffer {
    const data = this.frames().filter(({ type }) => type === FrameType.data);
    return Buffer.concat(data.map(({ payload }) => payload));
  }

  said(): string[] {
    return this.read().map(({ words }) => words);
  }

  private words(frame: Frame): string {
    const { type, flags, streamId, payload } = frame;
    const end = (type === FrameType.data || type === FrameType.headers) && flags & 1 ? ' end' : '';
    const code = (): string => CODES[h2.errorCodeOf(frame)]!;
    switch (type) {
      case FrameType.data:
        return `DATA ${streamId} ${payload.length}${end}`;
      case FrameType.headers:
      case FrameType.continuation: {
        this.block.push(payload);
        const what = type === FrameType.headers ? 'HEADERS' : 'CONTINUATION';
        return flags & 4 ? `${what} ${streamId} ${this.fields()}${end}` : `${what} ${streamId}${end} …`;
      }
      case FrameType.rstStream:
        return `RST_STREAM ${streamId} ${code()}`;
      case FrameType.settings:
        return flags & 1 ? 'SETTINGS ack' : 'SETTINGS';
      case FrameType.ping:
        return `PING${flags & 1 ? ' ack' : ''} ${payload.toString('hex')}`;
      case FrameType.goaway:
        return `GOAWAY ${payload.readUInt32BE(0)} ${code()}`;
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
    const told = fields.find(([name]) => [':status', 'grpc-status', ':path'].includes(name));
    return told?.[1] ?? `${fields.length} fields`;
  }
}

const CODES = (
  'NO_ERROR PROTOCOL INTERNAL FLOW_CONTROL SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE REFUSED CANCEL COMPRESSION ' +
  'CONNECT CALM SECURITY HTTP_1_1'
).split(' ');

/** A server under test that has seen a client's preface and acknowledgement; its own handshake has been read. */
export function rawClient(options: SideOptions = {}, split: Split = WHOLE): Raw {
  const raw = new Raw(new Side('server', options), split, false);
  raw.send(PREFACE, h2.settings(), h2.settingsAck());
  raw.frames();
  return raw;
}

/** A client under test that has seen a server's SETTINGS with `values`. */
export function rawServer(options: SideOptions = {}, split: Split = WHOLE, values: Settings = []): Raw {
  const raw = new Raw(new Side('client', options), split, true);
  raw.send(h2.settings(values), h2.settingsAck());
  raw.frames();
  return raw;
}

/** A client under test with requests under way, one for each of `ends`, all of them read: the last frame has its end or not. */
export function calling(
  ends: readonly End[],
  options: { readonly values?: Settings; readonly split?: Split } = {},
): { raw: Raw; told: Told[] } {
  const raw = rawServer({}, options.split, options.values);
  const told = ends.map((end) => raw.side.open(undefined, end));
  raw.frames();
  return { raw, told };
}

/** A server under test that has begun its response to the request of stream 1; `first`: what the client sends before it. */
export function responding(...first: readonly Buffer[]): { raw: Raw; told: Told } {
  const raw = rawClient().send(...first, request(1));
  if (first.length > 0) raw.frames();
  const told = raw.side.told[0]!;
  raw.side.respond(told);
  return { raw, told };
}

export const endingsOf = (told: readonly Told[]): string[] => told.map(({ ending }) => ending);
export const idsOf = (told: readonly Told[]): number[] => told.map(({ stream }) => stream.id);

export const request = (id: number, end: End = 'end', more: readonly Field[] = []): Buffer =>
  h2.headers(id, encode([...REQUEST, ...more]), end === 'end' ? 5 : 4);

export const response = (id: number, end: End = 'more', more: readonly Field[] = []): Buffer =>
  h2.headers(id, encode([...RESPONSE, ...more]), end === 'end' ? 5 : 4);

export const trailers = (id: number): Buffer => h2.headers(id, encode(TRAILERS), 5);

/** A server under test whose one stream has this window, and has sent its headers. */
export function windowed(bytes: number): { raw: Raw; told: Told } {
  const responder = responding(h2.settings([[h2.Setting.initialWindowSize, bytes]]));
  responder.raw.frames();
  return responder;
}
