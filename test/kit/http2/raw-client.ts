/**
 * A raw HTTP/2 client for tests: opens a connection over TCP, a Unix socket or TLS and speaks frame by frame.
 */

import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Address } from '../../../sidecar/config/model.js';
import { data, Flag, grpcMessage, headers, PREFACE, settings } from './h2-frames.js';
import { encode, type Field } from './hpack-lite.js';
import { RawPeer, type Reflexes } from './raw-peer.js';

export interface RawClientOptions extends Reflexes {
  /** What to say first. `none`: nothing at all, for half-open connections. Default `preface`: preface and SETTINGS. */
  readonly start?: 'preface' | 'none';
  readonly settings?: readonly (readonly [id: number, value: number])[];
  /** Client certificate and roots; `alpn` empty offers no ALPN. Absent: cleartext. */
  readonly tls?: TlsMaterial;
}

export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  readonly alpn?: readonly string[];
}

const CONNECT_MS = 5_000;

/** Opens the transport; fails when it is refused or takes longer than `CONNECT_MS`. */
export function openSocket(address: Address, material?: TlsMaterial): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const where =
      address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
    const checkServerIdentity = (): undefined => undefined;
    const secure = ({ alpn = ['h2'], ...identity }: TlsMaterial): tls.TLSSocket =>
      tls.connect({ ...where, ...identity, ALPNProtocols: [...alpn], checkServerIdentity });
    const socket = material ? secure(material) : net.connect(where);
    const tooLate = new Error(`no connection within ${CONNECT_MS} ms`);
    const timer = setTimeout(() => socket.destroy(tooLate), CONNECT_MS);
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once(material ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

export async function rawClient(address: Address, options: RawClientOptions = {}): Promise<RawPeer> {
  const socket = await openSocket(address, options.tls);
  // A client that says nothing answers nothing either.
  const mute = options.start === 'none' ? { ackSettings: false, ackPings: false } : {};
  const peer = new RawPeer(socket, { ...options, ...mute, role: 'client' });
  if (options.start !== 'none') peer.send(PREFACE, settings(options.settings));
  return peer;
}

/** The request headers of an ordinary gRPC call. */
export function grpcFields(path: string, extra: readonly Field[] = []): Field[] {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', '127.0.0.1'],
    ['te', 'trailers'],
    ['content-type', 'application/grpc'],
    ...extra,
  ];
}

/** HEADERS and one END_STREAM DATA frame of a unary call. */
export function unaryRequest(
  streamId: number,
  path: string,
  body: Uint8Array = Buffer.alloc(0),
  extra: readonly Field[] = [],
): Buffer {
  const message = data(streamId, grpcMessage(body), Flag.endStream);
  return Buffer.concat([openRequest(streamId, path, extra), message]);
}

/** HEADERS alone: a call whose request stays open. */
export const openRequest = (streamId: number, path: string, extra: readonly Field[] = []): Buffer =>
  headers(streamId, encode(grpcFields(path, extra)));
