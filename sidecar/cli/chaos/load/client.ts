/**
 * One client application of a drill: a stock gRPC channel, and what it notes of each call. It is the same for every arm but for
 * the address and the service config: whatever an arm does for the caller, the caller does not know of it.
 *
 * An answer is judged where it arrives: a picture by its class, a job by its id, a stream by the numbers of its messages. An
 * answer with status OK and other content is `wrong`, which is worse than a failure, as an application goes on with it.
 */

import {
  Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import type {
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from '../../../../proto/messages.js';
import type { ClientPlan } from '../arms/arm.js';
import type { CallRecord } from '../history/record.js';
import {
  inferMethods,
  JOB,
  numberIn,
  POISON_PREFIX,
  REPLICA_KEY,
  STREAM_MESSAGES,
  streamRequest,
} from '../protocol/service.js';
import { classIn, digitsRequest, markedPicture, type Picture } from './pictures.js';

/** How long a call of each model may take in most drills, ms. */
export const USUAL_DEADLINES = { digits: 1_000, long: 3_000, stream: 4_000 } as const;

/** Kinds of calls. */
export type ModelName = keyof typeof USUAL_DEADLINES;

/** How long a call of each model may take, ms. */
export type Deadlines = Readonly<Record<ModelName, number>>;

/** A call that was made; what is not known yet is filled in at its end. */
export type OpenCall = { -readonly [Key in keyof CallRecord]: CallRecord[Key] };

/** What all kinds of calls have in common: headers, and a status with trailers. */
type AnyCall = ClientUnaryCall | ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse>;

/** What is said of a call before it is made. */
type Noted = Pick<OpenCall, 'id' | 'drill' | 'arm' | 'client' | 'isFault'> & { readonly model: ModelName };

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
  call(about: Omit<Noted, 'client'>): OpenCall {
    const startMs = this.deps.now();
    const call: OpenCall = {
      ...about,
      client: this.name,
      startMs,
      endMs: Number.NaN,
      deadlineMs: startMs + this.deps.deadlines[about.model],
      // The long model stands for work that costs money or changes something.
      idempotent: about.model !== 'long',
      status: status.UNKNOWN,
      answer: 'none',
      degraded: false,
      answers: 0,
    };
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
        this.end(call, error);
        if (answer === undefined || error !== null) return;
        call.answeredId = answer.id === sentId ? call.id : answer.id;
        call.answer = classIn(answer) === picture.label ? 'right' : 'wrong';
      },
    );
    this.watch(call, made);
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
        this.end(call, error);
        if (value === undefined || error !== null) return;
        call.answeredId = value.toString();
        call.answer = 'right';
      },
    );
    this.watch(call, made);
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
      this.end(call, ended.code === status.OK ? null : ended);
      call.messages = numbers.length;
      if (ended.code !== status.OK) return;
      const isWhole = numbers.length === STREAM_MESSAGES && numbers.every((number, i) => number === i);
      call.answer = isWhole ? 'right' : 'wrong';
    });
    this.watch(call, made);
    made.write(streamRequest(call.id));
    made.end();
  }

  private options(model: ModelName): { deadline: number } {
    return { deadline: Date.now() + this.deps.deadlines[model] };
  }

  /** A second end of the same call is counted, and changes nothing. */
  private end(call: OpenCall, error: Pick<ServiceError, 'code'> | null): void {
    call.answers += 1;
    if (call.answers > 1) return;
    call.endMs = this.deps.now();
    call.status = error?.code ?? status.OK;
  }

  /** What the arm says beside the answer. */
  private watch(call: OpenCall, made: AnyCall): void {
    (made as ClientUnaryCall).on('metadata', (headers: Metadata) => {
      if (headers.get('outrider-degraded').length > 0) call.degraded = true;
    });
    (made as ClientUnaryCall).on('status', ({ metadata }: StatusObject) => {
      const [reason] = metadata.get('outrider-reason');
      if (reason !== undefined) call.reason = String(reason);
      const [replica] = metadata.get(REPLICA_KEY);
      if (replica !== undefined) call.endpoint = String(replica);
    });
  }
}

/** Whether the client has not been told the end of the call. */
export function isOpen({ answers }: Pick<CallRecord, 'answers'>): boolean {
  return answers === 0;
}
