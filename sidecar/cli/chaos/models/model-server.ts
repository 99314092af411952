/**
 * The model process of a drill: a stock grpc-js server with three models (digits, a long job, a stream) and the faults that it
 * is told. It stands for a model service that people bring along, so that nothing of it is shared with what is measured.
 */

import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { protocols } from '../../../../proto/load.js';
import type {
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from '../../../../proto/messages.js';
import { MetadataKey } from '../../../core/metadata-key.js';
import type { Behaviour } from '../protocol/behaviour.js';
import { replicaName, WELL } from '../protocol/behaviour.js';
import {
  inferMethods,
  JOB,
  PLACES,
  POISON_PREFIX,
  REPLICA_KEY,
  RUN_MS,
  STREAM_MESSAGES,
  streamMessage,
} from '../protocol/service.js';
import type { Digits } from './digits.js';
import type { ExecutionLog } from './execution-log.js';
import { Places } from './places.js';

const MB = 1 << 20;
const HOARD_EVERY_MS = 100;

type Call = ServerUnaryCall<unknown, unknown>;
type Stream = ServerDuplexStream<ModelInferRequest, ModelStreamInferResponse>;

/** One model process. */
export class DrillModelServer {
  /** As many calls at once as clients send: what bounds them is `PLACES`, as in a server with a thread pool. */
  private readonly server = new Server({ 'grpc.max_concurrent_streams': 0xffff_ffff });
  private behaviour: Behaviour = WELL;
  private readonly places = new Places(() =>
    this.behaviour.does === 'narrow' ? this.behaviour.places : PLACES,
  );
  /** Memory that `hoard` holds and never gives back before it is told to. */
  private readonly hoard: Buffer[] = [];

  constructor(
    private readonly replica: number,
    private readonly digits: Digits,
    private readonly log: ExecutionLog,
  ) {
    setInterval(() => this.grow(), HOARD_EVERY_MS).unref();
  }

  /** Behaves so from now on. */
  behave(behaviour: Behaviour): void {
    this.behaviour = behaviour;
    if (behaviour.does === 'crash') setTimeout(() => process.exit(1), behaviour.afterMs);
    if (behaviour.does !== 'hoard') this.hoard.length = 0;
  }

  /** @param address `host:port`. Resolves when it listens. */
  listen(address: string): Promise<void> {
    const { ModelInfer, ModelStreamInfer } = inferMethods();
    const { Check } = protocols().health;
    this.server.addService({ ModelInfer, ModelStreamInfer } as unknown as ServiceDefinition, {
      ModelInfer: (
        call: ServerUnaryCall<ModelInferRequest, ModelInferResponse>,
        reply: sendUnaryData<ModelInferResponse>,
      ) =>
        this.unary(
          call,
          { id: call.request.id ?? '', ms: RUN_MS.digits, run: () => this.infer(call.request) },
          reply,
        ),
      ModelStreamInfer: (stream: Stream) => this.stream(stream),
    });
    this.server.addService({ Run: JOB } as unknown as ServiceDefinition, {
      Run: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
        this.unary(
          call,
          { id: call.request.toString(), ms: RUN_MS.long, run: async () => call.request },
          reply,
        ),
    });
    this.server.addService({ Check } as unknown as ServiceDefinition, {
      Check: (_: Call, reply: sendUnaryData<object>) => reply(null, { status: 'SERVING' }),
    });
    return new Promise((resolve, reject) => {
      this.server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  /** Finishes what is in flight, for so long at most, ms. */
  async stop(limitMs: number): Promise<void> {
    const limit = setTimeout(() => this.server.forceShutdown(), limitMs);
    await new Promise<void>((resolve) => this.server.tryShutdown(() => resolve()));
    clearTimeout(limit);
  }

  /** Works on a call when there is a place for it. */
  private unary<Answer>(call: Call, job: Job<Answer>, reply: sendUnaryData<Answer>): void {
    this.places.take(call, (done) => this.work(call, job, reply, done));
  }

  private work<Answer>(call: Call, job: Job<Answer>, reply: sendUnaryData<Answer>, done: () => void): void {
    const { behaviour } = this;
    if (behaviour.does === 'fail' && behaviour.form === 'early') {
      reply({ code: behaviour.code, details: 'as the drill says', metadata: this.trailers() });
      return done();
    }
    this.log.began(job.id);
    // As native code does that is led astray by its input. SIGKILL would say that something outside ended the process.
    if (behaviour.does === 'choke' && job.id.startsWith(POISON_PREFIX)) process.kill(process.pid, 'SIGSEGV');
    // It keeps its place until the caller gives up, as a thread that waits for a lock would.
    if (behaviour.does === 'hang') return void call.once('cancelled', done);
    // With headers sent, a proxy that looks for the status there has already taken the call for a good one.
    if (behaviour.does === 'fail') call.sendMetadata(new Metadata());
    setTimeout(() => void this.finish(call, job, reply).finally(done), this.runMs(job.ms));
  }

  /** What comes after the time of the run: the answer, or the failure that the drill wants late. */
  private async finish<Answer>(
    call: Call,
    { id, run }: Job<Answer>,
    reply: sendUnaryData<Answer>,
  ): Promise<void> {
    if (call.cancelled) return;
    const { behaviour } = this;
    if (behaviour.does === 'fail')
      return reply({ code: behaviour.code, details: 'as the drill says', metadata: this.trailers() });
    try {
      const answer = await run();
      this.log.ended(id);
      reply(null, answer, this.trailers());
    } catch (error) {
      reply({
        code: status.INVALID_ARGUMENT,
        details: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** Time of a run as the fault has it. */
  private runMs(usualMs: number): number {
    const { behaviour } = this;
    if (behaviour.does === 'narrow') return behaviour.runMs;
    if (behaviour.does === 'labour' && usualMs === RUN_MS.long) return behaviour.ms;
    return behaviour.does === 'slow' ? behaviour.factor * usualMs : usualMs;
  }

  /** Asks the network, and spoils what it says where the drill wants that. */
  private async infer({ id, raw_input_contents = [] }: ModelInferRequest): Promise<ModelInferResponse> {
    const found = await this.digits(raw_input_contents[0] ?? new Uint8Array());
    const { does } = this.behaviour;
    if (does === 'nan') found.fill(Number.NaN);
    const numbers = does === 'wrong-shape' ? found.slice(1) : found;
    return {
      model_name: 'digits',
      model_version: '1',
      id: id ?? '',
      parameters: {},
      outputs: [{ name: 'probabilities', datatype: 'FP32', shape: ['1', String(numbers.length)] }],
      raw_output_contents: [new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)],
    };
  }

  /** Numbered messages, one at each pause; after those that the caller has, where a sidecar says so. */
  private stream(stream: Stream): void {
    // A caller that goes away in the middle is no fault of the process.
    stream.on('error', () => {});
    stream.once('data', ({ id = '' }: ModelInferRequest) => {
      const [after] = stream.metadata.get(MetadataKey.resumeAfter);
      const headers = new Metadata();
      if (after !== undefined) headers.set(MetadataKey.resumedFrom, after);
      const { behaviour } = this;
      const fails = () =>
        behaviour.does === 'fail' &&
        stream.emit('error', {
          code: behaviour.code,
          details: 'as the drill says',
          metadata: this.trailers(),
        });
      if (behaviour.does === 'fail' && behaviour.form === 'early') return fails();
      const begin = () => {
        if (stream.cancelled) return;
        stream.sendMetadata(headers);
        if (behaviour.does === 'hang') return;
        this.log.began(id);
        this.send(stream, { id, next: Number(after ?? 0), fails });
      };
      // Only of a stream that begins: one that is resumed has its beginning.
      if (behaviour.does === 'ponder' && after === undefined) setTimeout(begin, behaviour.ms);
      else begin();
    });
  }

  /** Sends one message and plans the next; a late failure comes in the second half. */
  private send(stream: Stream, sending: Sending): void {
    const { id, fails } = sending;
    if (stream.cancelled) return;
    if (sending.next >= STREAM_MESSAGES) {
      this.log.ended(id);
      return void stream.end(this.trailers());
    }
    if (sending.next > STREAM_MESSAGES / 2 && fails()) return;
    stream.write({ infer_response: streamMessage(id, sending.next++) });
    setTimeout(() => this.send(stream, sending), this.runMs(RUN_MS.streamPause));
  }

  /** Every end of a call names the replica, failures too. */
  private trailers(): Metadata {
    const metadata = new Metadata();
    metadata.set(REPLICA_KEY, replicaName(this.replica));
    return metadata;
  }

  /** One step of a leak. */
  private grow(): void {
    const { behaviour } = this;
    if (behaviour.does !== 'hoard') return;
    const bytes = Math.round((behaviour.mbPerSecond * MB * HOARD_EVERY_MS) / 1_000);
    if (this.hoard.length * bytes < behaviour.mostMb * MB) this.hoard.push(Buffer.alloc(bytes, 1));
  }
}

interface Job<Answer> {
  /** Of the call. */
  readonly id: string;
  /** Time of its run without a fault. */
  readonly ms: number;
  readonly run: () => Promise<Answer>;
}

interface Sending {
  readonly id: string;
  next: number;
  /** Ends the stream, where the model fails late. */
  readonly fails: () => boolean;
}
