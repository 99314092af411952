/** Calls the engine, through the sidecar beside this service. Retries, timeouts and failover are the sidecar's. */
import { createHash } from 'node:crypto';
import { Client, type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { ApiError, fromRpc } from '../api/errors.js';
import { ArchiveParts } from '../tokenizer/files.js';
import { Channels } from './channels.js';
import type { GenerateRequest, GenerateResponse, ModelInfo, TokenizerChunk } from './messages.js';
import { engineService } from './protocols.js';

/** Metadata of a call, by key. */
export type CallMetadata = Readonly<Record<string, string>>;

const OPTIONS = {
  // Large prompts: the sidecar bounds them.
  'grpc.max_send_message_length': -1,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // Else all channels to one address share one connection.
  'grpc.use_local_subchannel_pool': 1,
  // A sidecar that starts again is found soon.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
};

export class EngineClient {
  private readonly channels: Channels<Client>;
  private readonly methods = engineService();

  /** `address`: as gRPC names targets, such as `127.0.0.1:8800` or `unix:/run/chat.sock`. */
  constructor(readonly address: string) {
    this.channels = new Channels(() => new Client(address, credentials.createInsecure(), OPTIONS));
  }

  /**
   * The messages of an answer. It reads as fast as it is iterated: flow control holds back the engine. The call is cancelled when
   * `signal` aborts or the iteration ends early. Throws an `ApiError` if the call fails.
   */
  async *generate(
    request: GenerateRequest,
    metadata: CallMetadata,
    signal: AbortSignal,
  ): AsyncGenerator<GenerateResponse, void, undefined> {
    yield* this.stream<GenerateRequest, GenerateResponse>(this.methods.Generate, request, metadata, signal);
  }

  modelInfo(): Promise<ModelInfo> {
    const { path, requestSerialize, responseDeserialize } = this.methods.GetModelInfo;
    const { channel, release } = this.channels.take();
    return new Promise((resolve, reject) => {
      channel.makeUnaryRequest<object, object>(
        path,
        requestSerialize,
        responseDeserialize,
        {},
        (error, info) => {
          release();
          if (error === null) resolve(info ?? {});
          else reject(apiError(error));
        },
      );
    });
  }

  /** The archive with the files of the tokenizer, whole by its checksum. */
  async tokenizer(): Promise<Buffer> {
    const parts = new ArchiveParts();
    let sha256 = '';
    const { signal } = new AbortController();
    for await (const chunk of this.stream<object, TokenizerChunk>(
      this.methods.GetTokenizer,
      {},
      {},
      signal,
    )) {
      if (chunk.data !== undefined) parts.add(chunk.data);
      if (chunk.sha256) sha256 = chunk.sha256;
    }
    const archive = parts.whole();
    const found = createHash('sha256').update(archive).digest('hex');
    if (sha256 !== found) throw new Error(`the engine's tokenizer is damaged: its sha256 is ${found}`);
    return archive;
  }

  close(): void {
    for (const channel of this.channels.all) channel.close();
  }

  private async *stream<Request extends object, Response>(
    { path, requestSerialize, responseDeserialize }: MethodDefinition<object, object>,
    request: Request,
    metadata: CallMetadata,
    signal: AbortSignal,
  ): AsyncGenerator<Response, void, undefined> {
    if (signal.aborted) return;
    const { channel, release } = this.channels.take();
    const call: ClientReadableStream<object> = channel.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadataOf(metadata),
    );
    const cancel = () => call.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of call) yield message as Response;
    } catch (error) {
      throw apiError(error);
    } finally {
      signal.removeEventListener('abort', cancel);
      call.cancel();
      release();
    }
  }
}

function metadataOf(values: CallMetadata): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(values)) metadata.set(key, value);
  return metadata;
}

function apiError(error: unknown): ApiError {
  const { code, details, metadata } = error as Partial<ServiceError>;
  if (typeof code !== 'number') return new ApiError(String(error), { status: 500, type: 'server_error' });
  return fromRpc({
    code,
    details: details ?? '',
    trailer: (key) => metadata?.get(key)[0]?.toString(),
  });
}
