import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { protocols } from '../../proto/load.js';
import { type GenerateRequest, type GenerateResponse, vllmService } from '../../proto/vllm-service.js';
import { DIALECTS, type Dialect, type Protocol, type ResponseWriter } from './dialects.js';
import { type EngineCore, refusalOf } from './engine-core.js';
import { CONTEXT, END_OF_SEQUENCE, VOCABULARY } from './greedy-model.js';
import { tokenizerArchive, tokenizerChunks } from './tokenizer.js';

export interface EngineOptions {
  /** `host:port`. */
  readonly listen: string;
  readonly warmupMs: number;
  /** Default: vllm. */
  readonly protocol?: Protocol;
}

/** A front that serves. */
export interface RunningEngine {
  readonly port: number;
  /** Ends its connections and its listener at once. */
  stop(): void;
}

/** Serves a core as the front of its engine does. */
export async function startEngine(
  core: EngineCore,
  { listen, warmupMs, protocol = 'vllm' }: EngineOptions,
): Promise<RunningEngine> {
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.enable_channelz': 0 });
  const readyMs = Date.now() + warmupMs;
  const isServing = (): boolean => !core.isDead && Date.now() >= readyMs;
  if (protocol === 'vllm') addVllm(server, core);
  else addDialect(server, core, DIALECTS[protocol]());
  const health = protocols().health as unknown as ServiceDefinition;
  server.addService({ Check: health['Check']! } as ServiceDefinition, {
    Check: answering(() => ({ status: isServing() ? 'SERVING' : 'NOT_SERVING' })),
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve({ port, stop: () => server.forceShutdown() });
      else reject(error);
    });
  });
}

const NOT_ALIVE = 'Engine is not alive';

function addVllm(server: Server, core: EngineCore): void {
  let archive: Buffer | undefined;
  server.addService(vllmService() as unknown as ServiceDefinition, {
    Generate: (call: ServerWritableStream<GenerateRequest, GenerateResponse>) =>
      generate(core, call, call.request, (response) => response),
    Abort: answering(({ request_ids: ids }: { request_ids: readonly string[] }) => {
      core.abort(ids);
      return {};
    }),
    HealthCheck: answering(() => ({
      healthy: !core.isDead,
      message: core.isDead ? NOT_ALIVE : 'Health',
    })),
    GetModelInfo: answering(() => ({
      ...{ model_path: 'fake', served_model_name: 'fake', is_generation: true },
      ...{ max_context_length: CONTEXT, vocab_size: VOCABULARY, eos_token_ids: [END_OF_SEQUENCE] },
    })),
    GetTokenizer: (call: ServerWritableStream<object, object>) => {
      archive ??= tokenizerArchive();
      for (const chunk of tokenizerChunks(archive)) call.write(chunk);
      call.end();
    },
    GetServerInfo: answering(() => ({
      ...{ active_requests: core.counts.running, server_type: 'fake-engine', max_num_seqs: core.slots },
    })),
    GetLoads: answering(() => {
      const { running, waiting } = core.counts;
      const counts = {
        num_running_reqs: running,
        num_waiting_reqs: waiting,
        num_total_reqs: running + waiting,
        num_used_tokens: core.usedTokens,
        max_total_num_tokens: CONTEXT,
        max_running_requests: core.slots,
      };
      return { dp_rank_count: 1, loads: [counts] };
    }),
  });
}

function addDialect(server: Server, core: EngineCore, dialect: Dialect): void {
  server.addService(dialect.service, {
    Generate: (call: ServerWritableStream<Record<string, unknown>, object>) => {
      const request = dialect.requestOf(call.request);
      generate(core, call, request, dialect.writer(request));
    },
    Abort: answering(({ request_id: id }: { request_id: string }) => {
      core.abort([id]);
      return { success: true };
    }),
    HealthCheck: answering(() => dialect.health(core.isDead ? NOT_ALIVE : '')),
  });
}

function answering<Request>(answer: (request: Request) => object) {
  return ({ request }: ServerUnaryCall<Request, object>, callback: sendUnaryData<object>): void =>
    callback(null, answer(request));
}

function generate(
  core: EngineCore,
  call: ServerWritableStream<unknown, object>,
  request: GenerateRequest,
  write: ResponseWriter,
): void {
  const refusal = refusalOf(request);
  if (refusal !== '') {
    call.emit(
      'error',
      Object.assign(new Error(refusal), { code: status.INVALID_ARGUMENT, details: refusal }),
    );
    return;
  }
  const remove = core.add(request, {
    send: (response) => void call.write(write(response)),
    end: () => call.end(),
    fail: () => void call.emit('error', diedError()),
  });
  call.on('cancelled', remove);
}

/** As vLLM's front says it. */
function diedError(): Error {
  const details = 'EngineCore encountered an issue. See stack trace (above) for the root cause.';
  return Object.assign(new Error(details), { code: status.INTERNAL, details });
}
