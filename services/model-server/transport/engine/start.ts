/** The calls carried by our own HTTP/2 engine, the one that the sidecars run on (sidecar/decisions/0061). */

import { headerViewOf } from '../../../../sidecar/http2/header-view.js';
import type { HeaderBlock } from '../../../../sidecar/http2/hpack/header-list.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../../sidecar/http2/settings.js';
import { NO_OWNER, type Stream } from '../../../../sidecar/http2/stream.js';
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
      settings: { ...DEFAULT_LOCAL_SETTINGS, maxConcurrentStreams: MAX_CONCURRENT_STREAMS },
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
  if (served === undefined) {
    stream.owner = NO_OWNER;
    const error = new RpcError(status.UNIMPLEMENTED, `The server does not implement the method ${path}`);
    session.connection.sendHeaders(stream, trailersOnlyOf(error.code), statusFields(error), true);
    return;
  }
  const call = new EngineCall(session, stream, block, served);
  stream.owner = call;
  call.start(ended);
}

/** `[::1]` as the system takes it. */
function unbracketed(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}
