/**
 * One client application of a drill: a stock gRPC channel, and what it notes of each call. It is the same for every arm but for
 * the address and the service config: whatever an arm does for the caller, the caller does not know of it.
 *
 * An answer is judged where it arrives: a picture by its class, a job by its id, a stream by the numbers of its messages. An
 * answer with status OK and other content is `wrong`, which is worse than a failure, as an application goes on with it.
 */

import {
  Client,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import type { ModelInferResponse, ModelStreamInferResponse } from '../../../../proto/messages.js';
import type { ClientPlan } from '../arms/arm.js';
import { POISON_PREFIX } from '../protocol/behaviour.js';
import { inferMethods, JOB, numberIn, STREAM_MESSAGES, streamRequest } from '../protocol/service.js';
import { beginNote, noteEnd, noteMetadata, type OpenCall } from './noted-call.js';
import { classIn, digitsRequest, markedPicture, type Picture } from './pictures.js';

/** How long a call of each model may take in most drills, ms. */
export const USUAL_DEADLINES = { digits: 1_000, long: 3_000, stream: 4_000 } as const;

/** Kinds of calls. */
export type ModelName = keyof typeof USUAL_DEADLINES;

/** How long a call of each model may take, ms. */
export type Deadlines = Readonly<Record<ModelName, number>>;

/** What is said of a call before it is made. */
type AskedCall = Pick<OpenCall, 'id' | 'drill' | 'arm' | 'isFault'> & { readonly model: ModelName };

/** What a client shares with the others of its load. */
export interface ClientDeps {
  /** Ms of the run's clock. */
  readonly now: () => number;
  readonly pictures: readonly Picture[];
  readonly deadlines: Deadlines;
}

/** Makes calls over one channel. */
export class DrillClient {
  /** One channel for all calls of this client, as in an application. */
  private readonly client: Client;
  private next = 0;

  constructor(
    readonly name: string,
    { target, options }: ClientPlan,
    private readonly deps: ClientDeps,
  ) {
    this.client = new Client(target, credentials.createInsecure(), {
      'grpc.enable_http_proxy': 0,
      ...options,
    });
  }

  /** Makes a call; the record is complete once `isOpen` says no. */
  call(about: AskedCall): OpenCall {
    const startMs = this.deps.now();
    const call: OpenCall = beginNote({
      ...about,
      answer: 'none' as const,
      client: this.name,
      startMs,
      deadlineMs: startMs + this.deps.deadlines[about.model],
      // The long model stands for work that costs money or changes something.
      idempotent: about.model !== 'long',
    });
    this[about.model](call);
    return call;
  }

  close(): void {
    this.client.close();
  }

  /**
   * A picture; the next one each time. Calls that are the fault have one of their own, the same each time, as what ends a model
   * is in its input; their ids differ as those of any calls do.
   */
  private digits(call: OpenCall): void {
    const { ModelInfer } = inferMethods();
    const isFault = call.isFault === true;
    const { pictures } = this.deps;
    const picture = isFault ? markedPicture(pictures[0]!) : pictures[this.next++ % pictures.length]!;
    const sentId = isFault ? `${POISON_PREFIX}${call.id}` : call.id;
    let answer: ModelInferResponse | undefined;
    const made = this.client.makeUnaryRequest(
      ModelInfer.path,
      ModelInfer.requestSerialize,
      ModelInfer.responseDeserialize,
      digitsRequest(sentId, picture),
      new Metadata(),
      this.options('digits'),
      (error, value) => {
        answer = value;
        noteEnd(call, error, this.deps.now());
        if (answer === undefined || error !== null) return;
        call.answeredId = answer.id === sentId ? call.id : answer.id;
        call.answer = classIn(answer) === picture.label ? 'right' : 'wrong';
      },
    );
    noteMetadata(call, made as ClientUnaryCall);
  }

  /** A job, which must not be done twice. */
  private long(call: OpenCall): void {
    const made = this.client.makeUnaryRequest(
      JOB.path,
      JOB.requestSerialize,
      JOB.responseDeserialize,
      Buffer.from(call.id),
      new Metadata(),
      this.options('long'),
      (error, value) => {
        noteEnd(call, error, this.deps.now());
        if (value === undefined || error !== null) return;
        call.answeredId = value.toString();
        call.answer = 'right';
      },
    );
    noteMetadata(call, made as ClientUnaryCall);
  }

  /** A stream of numbers; right only where each is there once and in order. */
  private stream(call: OpenCall): void {
    const { ModelStreamInfer } = inferMethods();
    const made = this.client.makeBidiStreamRequest(
      ModelStreamInfer.path,
      ModelStreamInfer.requestSerialize,
      ModelStreamInfer.responseDeserialize,
      new Metadata(),
      this.options('stream'),
    );
    const numbers: (number | undefined)[] = [];
    made.on('data', ({ infer_response }: ModelStreamInferResponse) => {
      numbers.push(numberIn(infer_response));
      if (infer_response?.id !== undefined) call.answeredId = infer_response.id;
    });
    // The status says the same, and comes in any case.
    made.on('error', () => {});
    made.on('status', (ended: StatusObject) => {
      noteEnd(call, ended.code === status.OK ? null : ended, this.deps.now());
      call.messages = numbers.length;
      if (ended.code !== status.OK) return;
      const isWhole = numbers.length === STREAM_MESSAGES && numbers.every((number, i) => number === i);
      call.answer = isWhole ? 'right' : 'wrong';
    });
    noteMetadata(call, made as ClientUnaryCall);
    made.write(streamRequest(call.id));
    made.end();
  }

  private options(model: ModelName): { deadline: number } {
    return { deadline: Date.now() + this.deps.deadlines[model] };
  }
}
