/**
 * A scripted HTTP/2 server for tests: accepts connections and lets a script misbehave frame by frame.
 *
 * What it does to each call is the script's business; raw-behaviours.ts holds the ready-made ones.
 */

import net from 'node:net';
import type { Address } from '../../../sidecar/config/model.js';
import { data, Flag, FrameType, grpcMessage, headers, paddedData, settings } from './h2-frames.js';
import { encode, type Field } from './hpack-lite.js';
import { RawPeer, type Received, type Reflexes } from './raw-peer.js';

/** One request as the server sees it. */
export interface RawCall {
  readonly peer: RawPeer;
  readonly streamId: number;
  readonly fields: ReadonlyMap<string, string>;
  /** Connection and call numbers, from 1, over the life of the server. */
  readonly connection: number;
  readonly number: number;
}

export interface RawScript extends Reflexes {
  /** Sent first; `none` sends nothing. Default: empty SETTINGS. */
  readonly settings?: readonly (readonly [id: number, value: number])[] | 'none';
  onConnection?(peer: RawPeer, connection: number): void;
  /** The request's headers have arrived. */
  onHeaders?(call: RawCall): void;
  /** The request is complete (END_STREAM). */
  onRequest?(call: RawCall): void;
  onFrame?(peer: RawPeer, frame: Received): void;
}

export interface RawServer {
  readonly address: Address;
  readonly peers: readonly RawPeer[];
  /** Calls whose headers arrived. */
  readonly calls: number;
  close(): Promise<void>;
}

export async function rawServer(script: RawScript): Promise<RawServer> {
  const peers: RawPeer[] = [];
  let calls = 0;
  const server = net.createServer({ noDelay: true }, (socket) => {
    const peer = new RawPeer(socket, { ...script, role: 'server' });
    const connection = peers.push(peer);
    if (script.settings !== 'none') peer.send(settings(script.settings));
    const open = new Map<number, RawCall>();
    peer.onFrame = (frame) => {
      script.onFrame?.(peer, frame);
      const { type, flags, streamId, fields } = frame;
      if (fields && !open.has(streamId)) {
        calls += 1;
        const call = { peer, streamId, fields, connection, number: calls };
        open.set(streamId, call);
        script.onHeaders?.(call);
      }
      const ends = type === FrameType.data || type === FrameType.headers;
      const call = open.get(streamId);
      if (!ends || !(flags & Flag.endStream) || call === undefined) return;
      open.delete(streamId);
      script.onRequest?.(call);
    };
    script.onConnection?.(peer, connection);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    address: { kind: 'tcp', host: '127.0.0.1', port },
    peers,
    get calls() {
      return calls;
    },
    close: () => {
      for (const peer of peers) peer.close();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Flags of HEADERS that are whole and the last of their stream. */
export const ENDS = Flag.endHeaders | Flag.endStream;

export const responseFields = (extra: readonly Field[] = []): Field[] => [
  [':status', '200'],
  ['content-type', 'application/grpc'],
  ...extra,
];

export const responseHeaders = (extra: readonly Field[] = []): Buffer => encode(responseFields(extra));

export const trailerBlock = (status = 0, message = ''): Buffer =>
  encode(Object.entries({ 'grpc-status': String(status), 'grpc-message': message }));

/** A gRPC message as DATA frames of at most 16 KiB, or of `size` bytes each, padded when `padding` says so. */
export function messageFrames(call: RawCall, body: Uint8Array, size = 16_384, padding?: number): Buffer[] {
  const message = grpcMessage(body);
  const out: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const piece = message.subarray(at, at + size);
    out.push(padding === undefined ? data(call.streamId, piece) : paddedData(call.streamId, piece, padding));
  }
  return out;
}

export const headersFrame = (call: RawCall): Buffer => headers(call.streamId, responseHeaders());

export const trailersFrame = (call: RawCall): Buffer => headers(call.streamId, trailerBlock(), ENDS);

/** A whole proper answer: headers, one message, trailers, as fast as the peer's windows allow. */
export function answer(call: RawCall, body: Uint8Array = Buffer.alloc(0)): void {
  call.peer.queue(call.streamId, headersFrame(call), ...messageFrames(call, body), trailersFrame(call));
}
