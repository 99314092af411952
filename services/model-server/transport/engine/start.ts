/** The calls carried by our own HTTP/2 engine, the one that the sidecars run on (sidecar/decisions/0061). */

import { type HeaderView, headerViewOf } from '../../../../sidecar/http2/header-view.js';
import { type HeaderBlock, StableList } from '../../../../sidecar/http2/hpack/header-list.js';
import { Token } from '../../../../sidecar/http2/hpack/tokens.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../../sidecar/http2/settings.js';
import { NO_OWNER, type Stream } from '../../../../sidecar/http2/stream.js';
import { replyContentType } from '../../../../sidecar/transport/content-type.js';
import { Listener } from '../../../../sidecar/transport/listener.js';
import { isGrpcRequest, RejectedStream } from '../../../../sidecar/transport/not-grpc.js';
import type { Session } from '../../../../sidecar/transport/session.js';
import type { ServedMethod } from '../../protocol/call.js';
import { messageOf, RpcError, status } from '../../rpc.js';
import { type ListenAddress, removeStaleSocket } from '../listen.js';
import { reflectionMethods } from '../reflection.js';
import type { Transport, TransportOptions } from '../transport.js';
import { engineContext } from './context.js';
import { EngineCall } from './engine-call.js';
import { statusFields, trailersOnlyOf } from './response-fields.js';

/** Those of a sidecar's listener (`limits` in its configuration); TLS is the sidecar's, so there are no handshakes. */
const LIMITS = { maxConnections: 1024, handshakeTimeoutMs: 5000, handshakesPerSecond: 100 };
/**
 * Of a request: as much as a sidecar may let through (`limits.max_header_bytes`, `limits.max_header_fields`), and what it adds. How much
 * one may have is the sidecar's to say.
 */
const MAX_HEADER_BYTES = 1024 * 1024 + 16 * 1024;
const MAX_HEADER_FIELDS = 10_016;
/** Calls on one connection. A sidecar has few connections to its model, and all its callers' calls on them. */
const MAX_CONCURRENT_STREAMS = 1024;

/** Listens, with server reflection beside the methods. See `StartTransport`. */
export async function startEngine(
  methods: readonly ServedMethod[],
  listen: ListenAddress,
  options: TransportOptions,
): Promise<Transport> {
  const context = engineContext(options);
  const byPath = new Map([...methods, ...reflectionMethods()].map((served) => [served.method.path, served]));
  if (listen.kind === 'unix') await removeStaleSocket(listen.path);
  const listener = new Listener(
    {
      address: listen.kind === 'unix' ? listen : { ...listen, host: unbracketed(listen.host) },
      settings: {
        ...DEFAULT_LOCAL_SETTINGS,
        maxConcurrentStreams: MAX_CONCURRENT_STREAMS,
        maxHeaderBytes: MAX_HEADER_BYTES,
        maxHeaderFields: MAX_HEADER_FIELDS,
      },
      limits: LIMITS,
      onStream: (session, stream, block, ended) => accept(byPath, session, stream, block, ended),
    },
    context,
  );
  const target = listen.kind === 'unix' ? `unix:${listen.path}` : `${listen.host}:${listen.port}`;
  const bound = await listener.listen().catch((error: unknown) => {
    throw new Error(`cannot listen on ${target}: ${messageOf(error)}`);
  });
  return {
    target: bound.kind === 'unix' ? target : `${(listen as { host: string }).host}:${bound.port}`,
    stop: () => listener.drain(),
    abort: () => listener.stop(),
    heldBytes: () => context.memory.used,
  };
}

function accept(
  methods: ReadonlyMap<string, ServedMethod>,
  session: Session,
  stream: Stream,
  block: HeaderBlock,
  ended: boolean,
): void {
  const view = headerViewOf(block);
  if (!isGrpcRequest(view)) return void new RejectedStream(session, stream, ended);
  const { path } = view;
  const served = methods.get(path);
  if (served === undefined)
    return refuse(session, stream, view, `The server does not implement the method ${path}`);
  if (!isProtobuf(view.contentType)) {
    const expected = 'expected application/grpc or application/grpc+proto';
    return refuse(session, stream, view, `found content-type "${view.contentType}", ${expected}`);
  }
  const call = new EngineCall(session, stream, block, served);
  stream.owner = call;
  call.start(ended);
}

/** Messages in another encoding, such as `application/grpc+json`, would be read as what they are not. */
function isProtobuf(contentType: string): boolean {
  return /^application\/grpc(\+proto)?\s*(;|$)/.test(contentType);
}

function refuse(session: Session, stream: Stream, { contentType }: HeaderView, why: string): void {
  stream.owner = NO_OWNER;
  const error = new RpcError(status.UNIMPLEMENTED, why);
  const type = replyContentType(contentType);
  const fields = trailersOnlyOf(error.code).toFields();
  const list = StableList.of(fields.map((field) => (field.token === Token.contentType ? type : field)));
  session.connection.sendHeaders(stream, list, statusFields(error), true);
}

/** `[::1]` as the system takes it. */
function unbracketed(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}
