/**
 * The model process of a drill: a stock grpc-js server with three models (digits, a long job, a stream), and a language-model engine. It stands for a model
 * service that people bring along, so that nothing of it is shared with what is measured.
 */

import {
  Metadata,
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { protocols } from '../../../../proto/load.js';
import type {
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from '../../../../proto/messages.js';
import { type Behaviour, replicaName } from '../protocol/behaviour.js';
import {
  inferMethods,
  JOB,
  PLACES,
  REPLICA_KEY,
  RUN_MS,
  STREAM_MESSAGES,
  streamMessage,
} from '../protocol/service.js';
import type { Digits } from './digits.js';
import { DrillEngine } from './engine.js';
import type { ExecutionLog } from './execution-log.js';
import { bindServer, FaultyModel } from './faulty-model.js';

type Reply<Answer> = sendUnaryData<Answer>;
type InferCall = ServerUnaryCall<ModelInferRequest, ModelInferResponse>;
type Stream = ServerDuplexStream<ModelInferRequest, ModelStreamInferResponse>;

export class DrillModelServer {
  /** As many calls at once as clients send: what bounds them is `PLACES`, as in a server with a thread pool. */
  private readonly server = new Server({ 'grpc.max_concurrent_streams': 0xffff_ffff });
  private readonly model: FaultyModel;

  constructor(
    replica: number,
    private readonly digits: Digits,
    log: ExecutionLog,
  ) {
    // Every end of a call names the replica, failures too.
    const trailers = (): Metadata => {
      const metadata = new Metadata();
      metadata.set(REPLICA_KEY, replicaName(replica));
      return metadata;
    };
    this.model = new FaultyModel({ places: PLACES, log, trailers });
    const isFrozen = (): boolean => this.model.behaviour.does === 'freeze-core';
    new DrillEngine(replica, { log, isFrozen, trailers }).addTo(this.server);
  }

  behave(behaviour: Behaviour): void {
    this.model.behave(behaviour);
  }

  /** @param address `host:port`. Resolves when it listens. */
  async listen(address: string): Promise<void> {
    const { ModelInfer, ModelStreamInfer } = inferMethods();
    const { Check } = protocols().health;
    this.server.addService({ ModelInfer, ModelStreamInfer } as unknown as ServiceDefinition, {
      ModelInfer: (call: InferCall, reply: Reply<ModelInferResponse>) => this.infer(call, reply),
      ModelStreamInfer: (stream: Stream) => this.stream(stream),
    });
    this.server.addService({ Run: JOB } as unknown as ServiceDefinition, {
      Run: (call: ServerUnaryCall<Buffer, Buffer>, reply: Reply<Buffer>) => this.work(call, reply),
    });
    this.server.addService({ Check } as unknown as ServiceDefinition, {
      Check: (_: ServerUnaryCall<unknown, unknown>, reply: Reply<object>) =>
        reply(null, { status: 'SERVING' }),
    });
    await bindServer(this.server, address);
  }

  /** Finishes what is in flight, for so long at most, ms. */
  async stop(limitMs: number): Promise<void> {
    const limit = setTimeout(() => this.server.forceShutdown(), limitMs);
    await new Promise<void>((resolve) => this.server.tryShutdown(() => resolve()));
    clearTimeout(limit);
  }

  /** Asks the network, and spoils what it says where the drill wants that. */
  private infer(call: InferCall, reply: Reply<ModelInferResponse>): void {
    const { id = '', raw_input_contents = [] } = call.request;
    const run = async (): Promise<ModelInferResponse> => {
      const found = await this.digits(raw_input_contents[0] ?? new Uint8Array());
      const { does } = this.model.behaviour;
      if (does === 'nan') found.fill(Number.NaN);
      const numbers = does === 'wrong-shape' ? found.slice(1) : found;
      return {
        model_name: 'digits',
        model_version: '1',
        id,
        parameters: {},
        outputs: [{ name: 'probabilities', datatype: 'FP32', shape: ['1', String(numbers.length)] }],
        raw_output_contents: [new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)],
      };
    };
    this.model.unary(call, { id, usualMs: () => RUN_MS.digits, run }, reply);
  }

  private work(call: ServerUnaryCall<Buffer, Buffer>, reply: Reply<Buffer>): void {
    const usualMs = (): number => {
      const { behaviour } = this.model;
      return behaviour.does === 'labour' ? behaviour.ms : RUN_MS.long;
    };
    this.model.unary(call, { id: call.request.toString(), usualMs, run: () => call.request }, reply);
  }

  /** Numbered messages, one at each pause; a failure comes in the second half. */
  private stream(stream: Stream): void {
    stream.on('error', () => {});
    stream.once('data', ({ id = '' }: ModelInferRequest) =>
      this.model.tell(stream, {
        ...{ id, count: STREAM_MESSAGES, failsAt: STREAM_MESSAGES / 2 + 1 },
        firstMs: () => 0,
        pauseMs: () => this.model.runMs(RUN_MS.streamPause),
        message: (number) => ({ infer_response: streamMessage(id, number) }),
      }),
    );
  }
}
