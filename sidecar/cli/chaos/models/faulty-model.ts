/**
 * What a model process does to its calls when it is told to misbehave. The faults are the same whatever the model computes: a
 * server hands each call over as a job, and the job is done, late, done wrong or not done at all. Each run is logged.
 */

import {
  Metadata,
  type Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { MetadataKey } from '../../../core/metadata-key.js';
import { type Behaviour, type Failure, POISON_PREFIX, WELL } from '../protocol/behaviour.js';
import type { ExecutionLog } from './execution-log.js';
import { Places } from './places.js';

/** @param address `host:port`. Resolves with the port when the server listens. */
export function bindServer(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}

const MB = 1 << 20;
const HOARD_EVERY_MS = 100;
const DETAILS = 'as the drill says';

export interface Job<Answer> {
  readonly id: string;
  /** Time of the run without a fault, ms; asked when the run begins. */
  usualMs(): number;
  /** The answer, after that time. A rejection with a gRPC status ends the call with it. */
  run(): Answer | Promise<Answer>;
}

/** A stream of numbered messages that is sent for a call. */
export interface Telling<Message> {
  readonly id: string;
  readonly count: number;
  /** A model that fails sends the messages before this one, from 0. */
  readonly failsAt: number;
  firstMs(): number;
  /** Time after a message, ms. @param next number of the one that follows; `count`: the end. */
  pauseMs(next: number): number;
  message(number: number): Message;
}

/** The part of a server's stream that messages are sent on. */
interface Sink<Message> {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  sendMetadata(headers: Metadata): void;
  write(message: Message): unknown;
  end(trailers?: Metadata): unknown;
  on(event: 'error', listener: () => void): unknown;
  emit(event: 'error', error: object): unknown;
}

export interface FaultyModelPlan {
  /** Calls that it works on at once; more line up inside it, as in most servers. */
  readonly places: number;
  readonly log: Pick<ExecutionLog, 'began' | 'ended' | 'cancelled'>;
  /** Go with every end of a call. Absent: none. */
  trailers?(): Metadata | undefined;
}

/** Applies what the model was told last to the calls that it gets. */
export class FaultyModel {
  readonly places = new Places(() =>
    this.behaviour.does === 'narrow' ? this.behaviour.places : this.plan.places,
  );
  private told: Behaviour = WELL;
  private toldMs = 0;
  /** Calls since then that a share of is treated differently. */
  private count = 0;
  /** Memory that `hoard` holds and never gives back before it is told to. */
  private readonly hoard: Buffer[] = [];

  constructor(private readonly plan: FaultyModelPlan) {
    setInterval(() => this.grow(), HOARD_EVERY_MS).unref();
  }

  get behaviour(): Behaviour {
    return this.told;
  }

  behave(behaviour: Behaviour): void {
    this.told = behaviour;
    this.toldMs = performance.now();
    this.count = 0;
    if (behaviour.does === 'crash') setTimeout(() => process.exit(1), behaviour.afterMs);
    if (behaviour.does !== 'hoard') this.hoard.length = 0;
  }

  unary<Answer>(
    call: ServerUnaryCall<unknown, unknown>,
    job: Job<Answer>,
    reply: sendUnaryData<Answer>,
  ): void {
    this.places.take(call, (done) => {
      const failure = this.failure();
      if (failure?.form === 'at-once') {
        reply(this.errorOf(failure));
        return done();
      }
      this.plan.log.began(job.id);
      // As native code does that is led astray by its input. SIGKILL would say that something outside ended the process.
      if (this.told.does === 'choke' && job.id.startsWith(POISON_PREFIX))
        process.kill(process.pid, 'SIGSEGV');
      const over = (): void => {
        if (call.cancelled) this.plan.log.cancelled(job.id);
        done();
      };
      // It keeps its place until the caller gives up, as a thread that waits for a lock would.
      if (this.told.does === 'hang') return void call.once('cancelled', over);
      // With headers sent, a proxy that looks for the status there has already taken the call for a good one.
      if (failure?.form === 'trailers') call.sendMetadata(new Metadata());
      const end = async (): Promise<void> => {
        if (call.cancelled) return;
        if (failure !== undefined) reply(this.errorOf(failure));
        else await this.answer(job, reply);
      };
      setTimeout(() => void end().finally(over), this.runMs(job.usualMs()));
    });
  }

  /** Sends numbered messages; after those that the caller has, where a sidecar says so. */
  tell<Message>(stream: Sink<Message>, telling: Telling<Message>): void {
    // A caller that goes away in the middle is no fault of the process.
    stream.on('error', () => {});
    const [after] = stream.metadata.get(MetadataKey.resumeAfter);
    const headers = new Metadata();
    if (after !== undefined) headers.set(MetadataKey.resumedFrom, after);
    const failure = this.failure();
    if (failure?.form === 'at-once') return void stream.emit('error', this.errorOf(failure));
    const begin = (): void => {
      if (stream.cancelled) return;
      stream.sendMetadata(headers);
      if (this.told.does === 'hang') return;
      this.plan.log.began(telling.id);
      later(telling.firstMs(), () => this.send(stream, telling, { next: Number(after ?? 0), failure }));
    };
    // Only of a stream that begins: one that is resumed has its beginning.
    if (this.told.does === 'ponder' && after === undefined) setTimeout(begin, this.told.ms);
    else begin();
  }

  /** Time of a run as the fault has it. */
  runMs(usualMs: number): number {
    const { told } = this;
    if (told.does === 'narrow') return told.runMs;
    if (told.does !== 'slow') return usualMs;
    this.count += 1;
    return this.count % (told.every ?? 1) === 0 ? told.factor * usualMs : usualMs;
  }

  private async answer<Answer>({ id, run }: Job<Answer>, reply: sendUnaryData<Answer>): Promise<void> {
    try {
      const answer = await run();
      this.plan.log.ended(id);
      reply(null, answer, this.plan.trailers?.());
    } catch (error) {
      const { code = status.INVALID_ARGUMENT, details, message } = error as ServiceError;
      reply({ code, details: details ?? message });
    }
  }

  private send<Message>(
    stream: Sink<Message>,
    telling: Telling<Message>,
    sending: { next: number; readonly failure: Failure | undefined },
  ): void {
    const { id, count, failsAt } = telling;
    if (stream.cancelled) return;
    if (sending.next >= count) {
      this.plan.log.ended(id);
      return void stream.end(this.plan.trailers?.());
    }
    if (sending.failure !== undefined && sending.next >= failsAt)
      return void stream.emit('error', this.errorOf(sending.failure));
    stream.write(telling.message(sending.next++));
    setTimeout(() => this.send(stream, telling, sending), telling.pauseMs(sending.next));
  }

  /** How the next call has to fail; undefined: it need not. */
  private failure(): Failure | undefined {
    const { told } = this;
    if (told.does !== 'fail') return undefined;
    const { share = 1, turnMs } = told;
    const turn = turnMs === undefined ? 0 : Math.floor((performance.now() - this.toldMs) / turnMs);
    if (turn % 2 === 1) return undefined;
    // Evenly spread, without chance: as many of ten as the share says.
    this.count += 1;
    return Math.floor(this.count * share) > Math.floor((this.count - 1) * share) ? told : undefined;
  }

  private errorOf({ code }: Failure) {
    return { code, details: DETAILS, metadata: this.plan.trailers?.() ?? new Metadata() };
  }

  /** One step of a leak. */
  private grow(): void {
    const { told } = this;
    if (told.does !== 'hoard') return;
    const bytes = Math.round((told.mbPerSecond * MB * HOARD_EVERY_MS) / 1_000);
    if (this.hoard.length * bytes < told.mostMb * MB) this.hoard.push(Buffer.alloc(bytes, 1));
  }
}

function later(ms: number, work: () => void): void {
  if (ms > 0) setTimeout(work, ms);
  else work();
}
