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
import type { EngineCore } from './engine-core.js';
import { CONTEXT, END_OF_SEQUENCE, VOCABULARY } from './greedy-model.js';
import { tokenizerArchive, tokenizerChunks } from './tokenizer.js';

export interface EngineOptions {
  /** `host:port`. */
  readonly listen: string;
  readonly warmupMs: number;
}

/** Serves a core as the front of vLLM does. Resolves with the port. */
export async function startEngine(core: EngineCore, { listen, warmupMs }: EngineOptions): Promise<number> {
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.enable_channelz': 0 });
  const readyMs = Date.now() + warmupMs;
  let archive: Buffer | undefined;
  const isServing = (): boolean => !core.isDead && Date.now() >= readyMs;
  server.addService(vllmService() as unknown as ServiceDefinition, {
    Generate: (call: ServerWritableStream<GenerateRequest, GenerateResponse>) => generate(core, call),
    Abort: answering(({ request_ids: ids }: { request_ids: readonly string[] }) => {
      core.abort(ids);
      return {};
    }),
    HealthCheck: answering(() => ({
      healthy: !core.isDead,
      message: core.isDead ? 'Engine is not alive' : 'Health',
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
    GetServerInfo: answering(() => ({ active_requests: core.counts.running, server_type: 'fake-engine' })),
    GetLoads: answering(() => {
      const { running, waiting } = core.counts;
      const counts = {
        num_running_reqs: running,
        num_waiting_reqs: waiting,
        num_total_reqs: running + waiting,
      };
      return { dp_rank_count: 1, loads: [counts] };
    }),
  });
  const health = protocols().health as unknown as ServiceDefinition;
  server.addService({ Check: health['Check']! } as ServiceDefinition, {
    Check: answering(() => ({ status: isServing() ? 'SERVING' : 'NOT_SERVING' })),
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

function answering<Request>(answer: (request: Request) => object) {
  return ({ request }: ServerUnaryCall<Request, object>, callback: sendUnaryData<object>): void =>
    callback(null, answer(request));
}

function generate(core: EngineCore, call: ServerWritableStream<GenerateRequest, GenerateResponse>): void {
  const remove = core.add(call.request, {
    send: (response) => void call.write(response),
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
