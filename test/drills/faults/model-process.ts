/**
 * A model of the drills, a process of its own: `node models-process.js PLAN`, the plan as JSON. A plain gRPC server that
 * waits instead of computing, so that what is measured beside it is the mesh. How it behaves is changed while it runs,
 * over its IPC channel. It ends with the process that started it. Without a health service it counts as serving while it answers.
 */

import { openSync, writeSync } from 'node:fs';
import {
  type Client,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { Places } from '../../../sidecar/cli/chaos/models/places.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import { callUnary, clientOf } from './call.js';
import { reportTrailers } from './load-lies.js';
import {
  type Behaviour,
  type EventKind,
  FLOOD,
  type ModelPlan,
  ONCE,
  POISON,
  WELL,
} from './model-protocol.js';
import { HOLD } from './open-streams.js';
import { TELL } from './token-stream.js';

const FLOOD_PIECE = Buffer.alloc(64 * 1024, 'x');
const ASK_LIMIT_MS = 1_000;

class ModelServer {
  private readonly server = new Server({
    'grpc.max_concurrent_streams': 0xffff_ffff,
    'grpc.max_receive_message_length': 64 << 20,
  });
  private readonly log = openSync(this.plan.log, 'a');
  private behaviour: Behaviour = WELL;
  private behavesSinceMs = 0;
  private asked: Client | undefined;
  private readonly places = new Places(() => this.plan.places ?? Number.POSITIVE_INFINITY);
  private count = 0;

  constructor(private readonly plan: ModelPlan) {}

  behave(behaviour: Behaviour): void {
    this.asked?.close();
    this.asked = behaviour.does === 'ask' ? clientOf(behaviour.target) : undefined;
    this.behaviour = behaviour;
    this.behavesSinceMs = performance.now();
  }

  listen(): Promise<number> {
    const { ModelInfer } = protocols().inference;
    const infer = (call: ServerUnaryCall<ModelInferRequest, ModelInferResponse>, reply: Reply) =>
      this.take(call, call.request.id ?? '', reply, () => this.inferred(call.request));
    const once = (call: ServerUnaryCall<Buffer, Buffer>, reply: Reply) =>
      this.take(call, call.request.toString(), reply, () => call.request);
    const hold = (stream: ServerDuplexStream<Buffer, Buffer>) => this.hold(stream);
    this.server.addService({ ModelInfer } as unknown as ServiceDefinition, { ModelInfer: infer });
    const tell = (stream: ServerWritableStream<Buffer, Buffer>) => this.tell(stream);
    this.server.addService({ Once: ONCE, Hold: HOLD, Tell: TELL }, { Once: once, Hold: hold, Tell: tell });
    return new Promise((resolve, reject) => {
      const { port } = this.plan;
      this.server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
  }

  /** Works on a call when there is a place for it. */
  private take(call: Call, id: string, reply: Reply, answer: () => unknown): void {
    this.places.take(call, (done) => {
      this.note('ran', id);
      if (id.startsWith(POISON)) process.kill(process.pid, 'SIGKILL');
      this.work(call, id, reply, answer, () => {
        if (call.cancelled) this.note('cancelled', id);
        done();
      });
    });
  }

  private work(call: Call, id: string, reply: Reply, answer: () => unknown, done: () => void): void {
    const { behaviour } = this;
    if (behaviour.does === 'hang') return void call.once('cancelled', done);
    if (behaviour.does === 'ask') return this.ask(call, reply, done);
    const failure = this.failure(behaviour);
    if (failure?.form === 'trailers') call.sendMetadata(new Metadata());
    const runMs = behaviour.does === 'take' ? Number(id) : this.plan.serviceMs * this.factor(behaviour);
    setTimeout(() => {
      if (failure === undefined) reply(null, answer(), this.trailers(behaviour));
      else reply({ code: failure.code, details: 'as it was told' });
      done();
    }, runMs);
  }

  /** Trailers with a load report, where the model is to report: it is a sidecar of a kind then. */
  private trailers(behaviour: Behaviour): Metadata | undefined {
    if (behaviour.does !== 'report') return undefined;
    const calls = Math.max(0, this.places.busy - 1) + this.places.waiting;
    const { places: concurrency = 1, serviceMs } = this.plan;
    return reportTrailers(behaviour.says, { calls, concurrency, runSeconds: serviceMs / 1_000 });
  }

  private factor(behaviour: Behaviour): number {
    if (behaviour.does === 'slow') return behaviour.factor;
    if (behaviour.does !== 'lag') return 1;
    this.count += 1;
    return this.count % behaviour.every === 0 ? behaviour.factor : 1;
  }

  private failure(behaviour: Behaviour): { readonly code: number; readonly form: string } | undefined {
    const { does } = behaviour;
    if (does === 'fail') {
      // Evenly spread, without chance: as many of ten as the ratio says.
      this.count += 1;
      const fails = Math.floor(this.count * behaviour.ratio) > Math.floor((this.count - 1) * behaviour.ratio);
      return fails ? behaviour : undefined;
    }
    if (does !== 'flap') return undefined;
    const isDown = Math.floor((performance.now() - this.behavesSinceMs) / behaviour.everyMs) % 2 === 0;
    return isDown ? { code: status.UNAVAILABLE, form: behaviour.form } : undefined;
  }

  /** Passes the call on to another service, as an application in the middle does. */
  private ask(call: Call, reply: Reply, done: () => void): void {
    const said = { request: call.request as ModelInferRequest, deadlineMs: ASK_LIMIT_MS };
    callUnary(this.asked!, protocols().inference.ModelInfer, said, (error, answer) => {
      if (error) reply({ code: error.code, details: error.details });
      else reply(null, answer);
      done();
    });
  }

  private inferred({ model_name, id, inputs, raw_input_contents = [] }: ModelInferRequest): unknown {
    const isBad = this.behaviour.does === 'nan';
    const { answerBytes } = this.plan;
    const raw = raw_input_contents.map((each) => each.subarray(0, answerBytes));
    const raw_output_contents = isBad ? raw.map(notANumber) : raw;
    const outputs =
      answerBytes === undefined
        ? inputs
        : inputs?.map((input) => ({ ...input, shape: ['1', String(answerBytes / 4)] }));
    const named = { model_name, id: id ?? '', model_version: '1', parameters: {} };
    return { ...named, outputs, raw_output_contents };
  }

  private hold(stream: ServerDuplexStream<Buffer, Buffer>): void {
    this.note('ran', 'hold');
    const flood = (): void => {
      while (!stream.cancelled && stream.write(FLOOD_PIECE));
    };
    stream.on('data', (message: Buffer) => {
      if (message.toString() !== FLOOD) return void stream.write(message);
      stream.on('drain', flood);
      flood();
    });
    stream.on('cancelled', () => this.note('cancelled', 'hold'));
    stream.on('end', () => stream.end()).on('error', () => {});
  }

  /** Numbered messages; after those that the caller has, where it says so. */
  private tell(stream: ServerWritableStream<Buffer, Buffer>): void {
    this.note('ran', 'tell');
    const [messages, everyMs] = stream.request.toString().split(' ').map(Number) as [number, number];
    const [after] = stream.metadata.get('outrider-resume-after');
    const headers = new Metadata();
    if (after !== undefined) headers.set('outrider-resumed-from', after);
    stream.sendMetadata(headers);
    const { behaviour } = this;
    const failure = this.failure(behaviour);
    let next = Number(after ?? 0);
    const goOn = (): void => {
      if (stream.cancelled) return;
      if (failure !== undefined)
        return void stream.emit('error', { code: failure.code, details: 'as it was told' });
      if (next >= messages) return void stream.end();
      stream.write(Buffer.from(String(next++)));
      setTimeout(goOn, next === messages ? 0 : everyMs);
    };
    setTimeout(goOn, this.plan.serviceMs * this.factor(behaviour));
  }

  private note(kind: EventKind, id: string): void {
    writeSync(this.log, `${performance.timeOrigin + performance.now()} ${kind} ${id}\n`);
  }
}

type Call = ServerUnaryCall<unknown, unknown>;
type Reply = sendUnaryData<unknown>;

function notANumber(bytes: Uint8Array): Buffer {
  const floats = Buffer.alloc(bytes.length);
  for (let i = 0; i + 4 <= floats.length; i += 4) floats.writeFloatLE(Number.NaN, i);
  return floats;
}

const model = new ModelServer(JSON.parse(process.argv[2]!) as ModelPlan);
const port = await model.listen();
answerRequests<Behaviour>((behaviour) => model.behave(behaviour), port);
