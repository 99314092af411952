/**
 * One client application of a drill: a stock gRPC channel, and what it notes of each call. It is the same for every arm but for
 * the address and the service config: whatever an arm does for the caller, the caller does not know of it.
 *
 * An answer is judged where it arrives: a picture by its class, a job by its id, a stream by the numbers of its messages, an answer of an engine by its tokens. An
 * answer with status OK and other content is `wrong`, which is worse than a failure, as an application goes on with it.
 */

import type { Client } from '@grpc/grpc-js';
import type { ModelStreamInferResponse } from '../../../../proto/messages.js';
import type { ClientPlan } from '../arms/arm.js';
import { POISON_PREFIX } from '../protocol/behaviour.js';
import { type CalledMethod, callUnary, clientOf, followNumbers, inferStream } from '../protocol/call.js';
import { inferMethods, JOB, numberIn, STREAM_MESSAGES, streamRequest } from '../protocol/service.js';
import { beginNote, noteCall, type OpenCall } from './noted-call.js';
import { classIn, digitsRequest, markedPicture, type Picture } from './pictures.js';
import { askForTokens } from './token-answer.js';

/** How long a call of each model may take in most drills, ms. */
export const USUAL_DEADLINES = { digits: 1_000, long: 3_000, stream: 4_000, tokens: 6_000 } as const;

export type ModelName = keyof typeof USUAL_DEADLINES;

export type Deadlines = Readonly<Record<ModelName, number>>;

type AskedCall = Pick<OpenCall, 'id' | 'drill' | 'arm' | 'isFault'> & { readonly model: ModelName };

/** What a client shares with the others of its load. */
export interface ClientDeps {
  /** Ms of the run's clock. */
  readonly now: () => number;
  readonly pictures: readonly Picture[];
  readonly deadlines: Deadlines;
}

export class DrillClient {
  /** One channel for all calls of this client, as in an application. */
  private readonly client: Client;
  private next = 0;

  constructor(
    readonly name: string,
    { target, options }: ClientPlan,
    private readonly deps: ClientDeps,
  ) {
    this.client = clientOf(target, options);
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
    const isFault = call.isFault === true;
    const { pictures } = this.deps;
    const picture = isFault ? markedPicture(pictures[0]!) : pictures[this.next++ % pictures.length]!;
    const sentId = isFault ? `${POISON_PREFIX}${call.id}` : call.id;
    this.unary(call, inferMethods().ModelInfer, digitsRequest(picture, sentId), (answer) => {
      call.answeredId = answer.id === sentId ? call.id : answer.id;
      call.answer = classIn(answer) === picture.label ? 'right' : 'wrong';
    });
  }

  /** A job, which must not be done twice. */
  private long(call: OpenCall): void {
    this.unary(call, JOB, Buffer.from(call.id), (answer) => {
      call.answeredId = answer.toString();
      call.answer = 'right';
    });
  }

  private unary<Request, Answer>(
    call: OpenCall,
    method: CalledMethod<Request, Answer>,
    request: Request,
    judge: (answer: Answer) => void,
  ): void {
    const { now, deadlines } = this.deps;
    noteCall<Answer>(call, {
      now,
      make: (done) =>
        callUnary(this.client, method, { request, deadlineMs: deadlines[call.model as ModelName] }, done),
      ended: (error, answer) => {
        if (error === null && answer !== undefined) judge(answer);
      },
    });
  }

  /** An answer of a language-model engine; right only where each token is there once and in order. */
  private tokens(call: OpenCall): void {
    const { now, deadlines } = this.deps;
    call.messages = 0;
    const onMessage = (): void => {
      call.messages! += 1;
    };
    noteCall<string>(call, {
      now,
      make: (done) =>
        askForTokens(this.client, { id: call.id, deadlineMs: deadlines.tokens }, onMessage, done),
      ended: (error, odd) => {
        if (error === null) call.answer = odd === undefined ? 'right' : 'wrong';
      },
    });
  }

  /** A stream of numbers; right only where each is there once and in order. */
  private stream(call: OpenCall): void {
    const { now, deadlines } = this.deps;
    const made = inferStream(this.client, deadlines.stream);
    call.messages = 0;
    made.on('data', ({ infer_response }: ModelStreamInferResponse) => {
      call.messages! += 1;
      if (infer_response?.id !== undefined) call.answeredId = infer_response.id;
    });
    const numbered = {
      count: STREAM_MESSAGES,
      numberIn: ({ infer_response }: ModelStreamInferResponse) => numberIn(infer_response),
    };
    noteCall<string>(call, {
      now,
      make: (done) => {
        followNumbers(made, numbered, done);
        return made;
      },
      ended: (error, odd) => {
        if (error === null) call.answer = odd === undefined ? 'right' : 'wrong';
      },
    });
    made.write(streamRequest(call.id));
    made.end();
  }
}
