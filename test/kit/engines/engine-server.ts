/** A gRPC server in place of vLLM, whose answers the test writes message by message. */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerOptions,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoFile } from '../../../proto/load.js';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import { END_OF_SEQUENCE } from '../../../services/engine/greedy-model.js';
import { tokenizerArchive, tokenizerChunks } from '../../../services/engine/tokenizer.js';

/** One call of Generate. */
export interface EngineCall {
  readonly request: GenerateRequest;
  readonly metadata: Metadata;
  /** Resolves when the client has cancelled the call. */
  readonly cancelled: Promise<void>;
  /** A message with these tokens. Resolves once there is room for another one. */
  send(ids: readonly number[], cachedTokens?: number): Promise<void>;
  complete(reason: string): void;
  fail(code: number, details: string, trailers?: Readonly<Record<string, string>>): void;
}

export interface EngineServer {
  /** `host:port` */
  readonly address: string;
  /** How the next calls are answered. */
  answer: (call: EngineCall) => unknown;
  close(): void;
}

const CONTEXT = 4_096;

/** @param archive the files of its tokenizer @param listen `host:port` @param options of the server, such as `grpc.max_concurrent_streams` */
export async function startEngineServer(
  archive = tokenizerArchive(),
  listen = '127.0.0.1:0',
  options: ServerOptions = {},
): Promise<EngineServer> {
  const definitions = loadSync(protoFile('vllm-engine.proto'), {
    keepCase: true,
    longs: Number,
    defaults: true,
  });
  const server = new Server(options);
  server.addService(definitions['vllm.grpc.engine.VllmEngine'] as ServiceDefinition, {
    Generate: (call: ServerWritableStream<GenerateRequest, object>) => engine.answer(callOf(call)),
    GetModelInfo: (_: unknown, done: sendUnaryData<object>) =>
      done(null, {
        served_model_name: 'org/tiny',
        max_context_length: CONTEXT,
        eos_token_ids: [END_OF_SEQUENCE],
      }),
    GetTokenizer: (call: ServerWritableStream<object, object>) => {
      for (const chunk of tokenizerChunks(archive)) call.write(chunk);
      call.end();
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const engine: EngineServer = {
    address: `127.0.0.1:${port}`,
    answer: (call) => call.fail(12, 'the test has no answer'),
    close: () => server.forceShutdown(),
  };
  return engine;
}

function callOf(call: ServerWritableStream<GenerateRequest, object>): EngineCall {
  return {
    request: call.request,
    metadata: call.metadata,
    cancelled: new Promise((resolve) => call.once('cancelled', resolve)),
    send: (ids, cachedTokens = 0) =>
      new Promise((resolve) => {
        const chunk = { token_ids: ids, completion_tokens: ids.length, cached_tokens: cachedTokens };
        if (call.write({ chunk })) resolve();
        else call.once('drain', resolve);
      }),
    complete: (finish_reason) => {
      call.write({ complete: { finish_reason } });
      call.end();
    },
    fail: (code, details, trailers = {}) => {
      const metadata = new Metadata();
      for (const [key, value] of Object.entries(trailers)) metadata.set(key, value);
      call.emit('error', Object.assign(new Error(details), { code, details, metadata }));
    },
  };
}
