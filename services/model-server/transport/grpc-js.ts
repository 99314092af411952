/** The calls carried by `@grpc/grpc-js`. */

import {
  logVerbosity,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerErrorResponse,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Call, Reply, ServedMethod, StreamCall, StreamReceiver } from '../protocol/call.js';
import { decodeRequest, toRpcError } from '../protocol/decode.js';
import { detailsOf, trailerValue } from '../protocol/status-details.js';
import type { RpcError } from '../rpc.js';
import { type ListenAddress, removeStaleSocket } from './listen.js';
import { reflectionMethods } from './reflection.js';
import { MAX_MESSAGE_BYTES, type Transport } from './transport.js';

// It prints some errors itself, beside the one that it reports; this process has its own log.
setLogVerbosity(logVerbosity.NONE);

type Served<Kind extends ServedMethod['kind']> = Extract<ServedMethod, { kind: Kind }>;
type AnyCall = ServerUnaryCall<Buffer, unknown> | ServerWritable;
type ServerWritable = ServerWritableStream<Buffer, unknown> | ServerDuplexStream<Buffer, unknown>;

/** Listens, with server reflection beside the methods. See `StartTransport`. */
export async function startGrpcJs(
  methods: readonly ServedMethod[],
  listen: ListenAddress,
): Promise<Transport> {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': 1024 * 1024,
    'grpc.enable_channelz': 0,
  });
  for (const { definition, implementation } of services([...methods, ...reflectionMethods()]))
    server.addService(definition, implementation);
  const target = await bind(server, listen);
  return {
    target,
    stop: () => new Promise<void>((resolve) => server.tryShutdown(() => resolve())),
    abort: () => server.forceShutdown(),
    heldBytes: () => 0,
  };
}

/** The methods by their services, with requests left as bytes: they are decoded here, so that what is no message gets our words. */
function services(methods: readonly ServedMethod[]) {
  const byService = new Map<
    string,
    { definition: Record<string, unknown>; implementation: Record<string, unknown> }
  >();
  for (const served of methods) {
    const [, service, name] = served.method.path.split('/');
    const entry = byService.get(service!) ?? { definition: {}, implementation: {} };
    byService.set(service!, entry);
    entry.definition[name!] = { ...served.method, requestDeserialize: (bytes: Buffer) => bytes };
    entry.implementation[name!] = served.kind === 'unary' ? unaryHandler(served) : streamHandler(served);
  }
  return [...byService.values()] as unknown as {
    definition: ServiceDefinition;
    implementation: UntypedServiceImplementation;
  }[];
}

function unaryHandler({ method, handle }: Served<'unary'>) {
  return (call: ServerUnaryCall<Buffer, unknown>, callback: sendUnaryData<unknown>): void => {
    const reply: Reply<unknown> = (error, response, trailers) => {
      if (error !== undefined) callback(toStatus(error));
      else callback(null, response, trailers === undefined ? undefined : metadataOf(trailers));
    };
    try {
      handle(decodeRequest(method, call.request), new CarriedCall(call), reply);
    } catch (error) {
      reply(toRpcError(error));
    }
  };
}

function streamHandler({ method, open }: Served<'stream'>) {
  return (call: ServerWritable): void => {
    const stream = new CarriedStream(call);
    let receiver: StreamReceiver<unknown>;
    const receive = (bytes: Buffer): void => {
      try {
        receiver.request(decodeRequest(method, bytes), bytes.length);
      } catch (error) {
        stream.end(toRpcError(error));
      }
    };
    try {
      receiver = open(stream);
    } catch (error) {
      stream.end(toRpcError(error));
      return;
    }
    if ('request' in call) {
      receive(call.request);
      receiver.end();
      return;
    }
    call.on('data', receive);
    call.on('end', () => receiver.end());
  };
}

class CarriedCall<Carried extends AnyCall> implements Call {
  readonly deadlineMs: number;

  constructor(protected readonly call: Carried) {
    const deadline = call.getDeadline();
    this.deadlineMs = typeof deadline === 'number' ? deadline : deadline.getTime();
  }

  get cancelled(): boolean {
    return this.call.cancelled;
  }

  onCancelled(listener: () => void): void {
    (this.call as ServerUnaryCall<Buffer, unknown>).once('cancelled', listener);
  }

  header(name: string): string | undefined {
    return this.call.metadata.get(name)[0]?.toString();
  }
}

class CarriedStream extends CarriedCall<ServerWritable> implements StreamCall<unknown> {
  private ended = false;
  private full = false;

  get writable(): boolean {
    return !this.full;
  }

  onWritable(listener: () => void): void {
    (this.call as ServerWritableStream<Buffer, unknown>).once('drain', listener);
  }

  announce(metadata: Readonly<Record<string, string>>): void {
    this.call.sendMetadata(metadataOf(metadata));
  }

  write(response: unknown): void {
    if (this.ended || this.call.cancelled) return;
    if (this.call.write(response)) return;
    this.full = true;
    this.onWritable(() => {
      this.full = false;
    });
  }

  end(error?: RpcError): void {
    if (this.ended) return;
    this.ended = true;
    if (error === undefined) this.call.end();
    else (this.call as ServerWritableStream<Buffer, unknown>).emit('error', toStatus(error));
  }

  pause(): void {
    if ('pause' in this.call) this.call.pause();
  }

  resume(): void {
    if ('resume' in this.call) this.call.resume();
  }

  /** This server has no budget of memory. */
  hold(): void {}
}

function toStatus(error: RpcError): ServerErrorResponse {
  const details = detailsOf(error.message);
  return Object.assign(new Error(details), {
    code: error.code,
    details,
    metadata: metadataOf(error.trailers),
  });
}

function metadataOf(values: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(values)) metadata.set(key, trailerValue(value));
  return metadata;
}

async function bind(server: Server, listen: ListenAddress): Promise<string> {
  if (listen.kind === 'unix') await removeStaleSocket(listen.path);
  const address = listen.kind === 'unix' ? `unix:${listen.path}` : `${listen.host}:${listen.port}`;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new Error(`cannot listen on ${address}: ${systemWords(error.message)}`));
    });
  });
  return listen.kind === 'unix' ? address : `${listen.host}:${port}`;
}

/** The transport wraps what the system said: `No address added … errors: [listen EADDRINUSE: …]`. */
function systemWords(message: string): string {
  return /errors: \[(.*)\]$/.exec(message)?.[1] ?? message;
}
