/**
 * A model of the drills, a process of its own: `node models-process.js PLAN`, the plan as JSON. A plain gRPC server that
 * waits instead of computing, so that what is measured beside it is the mesh. How it behaves is changed while it runs,
 * over its IPC channel. It ends with the process that started it. Without a health service it counts as serving while it answers.
 */

import {
  type Client,
  type Metadata,
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { ExecutionLog } from '../../../sidecar/cli/chaos/models/execution-log.js';
import { bindServer, FaultyModel, type Job } from '../../../sidecar/cli/chaos/models/faulty-model.js';
import { WELL } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import { askUnary, clientOf } from '../../../sidecar/cli/chaos/protocol/call.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import { reportTrailers } from './load-lies.js';
import { FLOOD, type ModelBehaviour, type ModelPlan, ONCE, type OwnBehaviour } from './model-protocol.js';
import { notANumber } from './number-answers.js';
import { HOLD } from './open-streams.js';
import { TELL } from './token-stream.js';

const FLOOD_PIECE = Buffer.alloc(64 * 1024, 'x');
const ASK_LIMIT_MS = 1_000;

type InferCall = ServerUnaryCall<ModelInferRequest, ModelInferResponse>;
type Reply<Answer> = sendUnaryData<Answer>;
type Stream = ServerDuplexStream<Buffer, Buffer>;

class ModelServer {
  private readonly server = new Server({
    'grpc.max_concurrent_streams': 0xffff_ffff,
    'grpc.max_receive_message_length': 64 << 20,
  });
  private readonly log = new ExecutionLog(this.plan.log);
  private readonly model = new FaultyModel({
    places: this.plan.places ?? Number.POSITIVE_INFINITY,
    log: this.log,
    trailers: () => this.trailers(),
  });
  private told: ModelBehaviour = WELL;
  private asked: Client | undefined;

  constructor(private readonly plan: ModelPlan) {}

  behave(told: ModelBehaviour): void {
    this.asked?.close();
    this.asked = told.does === 'ask' ? clientOf(told.target) : undefined;
    this.told = told;
    this.model.behave(isOwn(told) ? WELL : told);
  }

  listen(): Promise<number> {
    const { ModelInfer } = protocols().inference;
    this.server.addService({ ModelInfer } as unknown as ServiceDefinition, {
      ModelInfer: (call: InferCall, reply: Reply<ModelInferResponse>) =>
        this.model.unary(
          call,
          this.job(call.request.id ?? '', () => this.infer(call.request)),
          reply,
        ),
    });
    this.server.addService(
      { Once: ONCE, Hold: HOLD, Tell: TELL },
      {
        Once: (call: ServerUnaryCall<Buffer, Buffer>, reply: Reply<Buffer>) =>
          this.model.unary(
            call,
            this.job(call.request.toString(), () => call.request),
            reply,
          ),
        Hold: (stream: Stream) => this.hold(stream),
        Tell: (stream: ServerWritableStream<Buffer, Buffer>) => this.tell(stream),
      },
    );
    return bindServer(this.server, `127.0.0.1:${this.plan.port}`);
  }

  private job<Answer>(id: string, run: Job<Answer>['run']): Job<Answer> {
    const usualMs = (): number => {
      if (this.told.does === 'take') return Number(id);
      return this.told.does === 'ask' ? 0 : this.plan.serviceMs;
    };
    return { id, usualMs, run };
  }

  /** With a load report, where the model is to report: it is a sidecar of a kind then. */
  private trailers(): Metadata | undefined {
    const { told } = this;
    if (told.does !== 'report') return undefined;
    const { busy, waiting } = this.model.places;
    const calls = Math.max(0, busy - 1) + waiting;
    const { places: concurrency = 1, serviceMs } = this.plan;
    return reportTrailers(told.says, { calls, concurrency, runSeconds: serviceMs / 1_000 });
  }

  private infer(request: ModelInferRequest): ModelInferResponse | Promise<ModelInferResponse> {
    const { asked } = this;
    if (asked === undefined) return this.inferred(request);
    // As an application in the middle passes it on.
    return askUnary(asked, protocols().inference.ModelInfer, { request, deadlineMs: ASK_LIMIT_MS });
  }

  private inferred(request: ModelInferRequest): ModelInferResponse {
    const { model_name, id = '', inputs = [], raw_input_contents = [] } = request;
    const { answerBytes } = this.plan;
    const raw = raw_input_contents.map((each) => each.subarray(0, answerBytes));
    return {
      ...{ model_name, id, model_version: '1', parameters: {} },
      outputs: inputs.map(({ shape, ...input }) => ({
        ...input,
        shape: answerBytes === undefined ? shape : [1, answerBytes / 4],
      })),
      raw_output_contents:
        this.model.behaviour.does === 'nan' ? raw.map(({ length }) => notANumber(length)) : raw,
    };
  }

  private hold(stream: Stream): void {
    this.log.began('hold');
    const flood = (): void => {
      while (!stream.cancelled && stream.write(FLOOD_PIECE));
    };
    stream.on('data', (message: Buffer) => {
      if (message.toString() !== FLOOD) return void stream.write(message);
      stream.on('drain', flood);
      flood();
    });
    stream.on('cancelled', () => this.log.cancelled('hold'));
    stream.on('end', () => stream.end()).on('error', () => {});
  }

  private tell(stream: ServerWritableStream<Buffer, Buffer>): void {
    const [count, everyMs] = stream.request.toString().split(' ').map(Number) as [number, number];
    this.model.tell(stream, {
      ...{ id: 'tell', count, failsAt: 0 },
      firstMs: () => this.model.runMs(this.plan.serviceMs),
      pauseMs: (next) => (next === count ? 0 : everyMs),
      message: (number) => Buffer.from(String(number)),
    });
  }
}

function isOwn(told: ModelBehaviour): told is OwnBehaviour {
  return told.does === 'report' || told.does === 'take' || told.does === 'ask';
}

const model = new ModelServer(JSON.parse(process.argv[2]!) as ModelPlan);
const port = await model.listen();
answerRequests<ModelBehaviour>((behaviour) => model.behave(behaviour), port);
