/**
 * ModelStreamInfer: requests as they come, and for each of them one answer, or as many as its model gives (Triton's decoupled
 * transactions). A request that fails is answered with an error message and the stream goes on; with the request header
 * `triton_grpc_error: true`, and when the deadline of the call has passed, the stream ends with the status instead.
 */

import type { ModelInferRequest, ModelStreamInferResponse } from '../../../proto/messages.js';
import { RpcError, status } from '../rpc.js';
import { DeadlinePassed } from '../runs/failures.js';
import type { AnswerStream } from '../runs/job.js';
import type { StreamCall, StreamHandler, StreamReceiver } from './call.js';
import { toRpcError } from './decode.js';
import { PreparedInfer } from './infer-job.js';
import { RESUME_AFTER_KEY, type Resumption, resumptionOf } from './resumption.js';
import type { Serving } from './serving.js';
import { detailsOf } from './status-details.js';

/** Requests of one stream that wait or run; beyond it no more are read, so that the caller is held by flow control. */
const MAX_IN_FLIGHT = 64;
/** The same in bytes of their messages; one message may be larger. */
const MAX_IN_FLIGHT_BYTES = 32 * 1024 * 1024;

/** The handler of ModelStreamInfer. */
export function modelStreamInfer(
  serving: Serving,
): StreamHandler<ModelInferRequest, ModelStreamInferResponse> {
  return (call) => new InferStream(serving, call);
}

class InferStream implements StreamReceiver<ModelInferRequest> {
  /** With the bytes of their messages. */
  private readonly inFlight = new Map<PreparedInfer, number>();
  private inFlightBytes = 0;
  private readonly endsOnError: boolean;
  private readonly resumption: Resumption | null;
  private halfClosed = false;
  /** The caller does not read. */
  private isHeldByCaller = false;
  private ended = false;
  /** The caller has been told of an error instead of an answer. */
  private hasFailed = false;

  constructor(
    private readonly serving: Serving,
    private readonly call: StreamCall<ModelStreamInferResponse>,
  ) {
    this.endsOnError = call.header('triton_grpc_error') === 'true';
    this.resumption = resumptionOf(call.header(RESUME_AFTER_KEY));
    call.onCancelled(() => this.abandon());
  }

  request(request: ModelInferRequest, bytes: number): void {
    if (this.ended) return;
    let prepared: PreparedInfer | undefined;
    try {
      prepared = this.prepare(request);
      this.resumption?.begin(this.call, prepared.runner.card?.resumable === true);
    } catch (error) {
      prepared?.leave();
      this.fail(toRpcError(error), request.id ?? '', request);
      return;
    }
    this.inFlight.set(prepared, bytes);
    this.inFlightBytes += bytes;
    this.call.hold(this.inFlightBytes);
    this.pace();
    this.serving.queue.submit(prepared);
  }

  end(): void {
    this.halfClosed = true;
    this.endWhenDone();
  }

  private prepare(request: ModelInferRequest): PreparedInfer {
    const { call } = this;
    const streams: AnswerStream = {
      get writable() {
        return call.writable;
      },
      onWritable: (listener) => call.onWritable(listener),
    };
    const prepared: PreparedInfer = new PreparedInfer(this.serving, request, call, {
      streams,
      done: (error, answer) => {
        if (answer !== undefined) {
          this.write(prepared, answer);
          return;
        }
        if (error !== undefined) this.fail(error, request.id ?? '', request);
        else this.finish(prepared);
        this.leave(prepared);
      },
    });
    return prepared;
  }

  private write(prepared: PreparedInfer, answer: Parameters<PreparedInfer['respond']>[0]): void {
    if (this.ended) return;
    const response = prepared.respond(answer);
    // The only answer of a model that gives one is its last.
    if (prepared.options.emptyFinalResponse && !prepared.runner.isDecoupled)
      response.parameters = { ...response.parameters, triton_final_response: { bool_param: true } };
    this.sendAnswer({ infer_response: response });
  }

  private finish(prepared: PreparedInfer): void {
    if (this.ended || !prepared.options.emptyFinalResponse || !prepared.runner.isDecoupled) return;
    const response = prepared.respond(undefined);
    response.parameters = { triton_final_response: { bool_param: true } };
    this.sendAnswer({ infer_response: response });
  }

  private fail(error: RpcError, id: string, { model_name, model_version }: ModelInferRequest): void {
    if (this.ended) return;
    if (this.endsOnError || error instanceof DeadlinePassed) {
      this.ended = true;
      this.abandon();
      this.call.end(error);
      return;
    }
    this.hasFailed = true;
    // The request that failed is told by its id, as Triton does it.
    const infer_response = {
      model_name: model_name.slice(0, 1000),
      model_version: model_version ?? '',
      id,
      outputs: [],
      raw_output_contents: [],
    };
    this.send({ error_message: detailsOf(error.message), infer_response });
  }

  private send(message: ModelStreamInferResponse): void {
    this.call.write(message);
    this.pace();
  }

  /** Unless it is one that the caller has. An error never is: the replica before gave none. */
  private sendAnswer(message: ModelStreamInferResponse): void {
    if (this.resumption?.skips() !== true) this.send(message);
  }

  /** Requests are read while few wait and the caller reads the answers: what it does not read is bounded. */
  private pace(): void {
    const { call } = this;
    if (!call.writable && !this.isHeldByCaller) {
      this.isHeldByCaller = true;
      call.onWritable(() => {
        this.isHeldByCaller = false;
        this.pace();
      });
    }
    const isFull = this.inFlight.size >= MAX_IN_FLIGHT || this.inFlightBytes >= MAX_IN_FLIGHT_BYTES;
    if (this.isHeldByCaller || isFull) call.pause();
    else call.resume();
  }

  private leave(prepared: PreparedInfer): void {
    prepared.leave();
    const bytes = this.inFlight.get(prepared);
    if (bytes === undefined) return;
    this.inFlight.delete(prepared);
    this.inFlightBytes -= bytes;
    this.call.hold(this.inFlightBytes);
    this.pace();
    this.endWhenDone();
  }

  private endWhenDone(): void {
    if (!this.halfClosed || this.inFlight.size > 0 || this.ended) return;
    this.ended = true;
    const missing = this.hasFailed ? 0 : (this.resumption?.missing ?? 0);
    if (missing === 0) return this.call.end();
    const message = `the stream cannot be resumed: this time it has ${missing} answers fewer than the caller has`;
    this.call.end(new RpcError(status.FAILED_PRECONDITION, message));
  }

  private abandon(): void {
    this.ended = true;
    for (const prepared of this.inFlight.keys()) prepared.cancel();
    this.inFlight.clear();
    this.inFlightBytes = 0;
    this.call.hold(0);
  }
}
