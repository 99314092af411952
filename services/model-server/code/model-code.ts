/**
 * The interface of a model in code: a module that `code` in model.yaml names, for what an ONNX file alone cannot do, such as
 * a tokenizer before a network, a loop that writes text token by token, or a chain over other models. It is to the model
 * server what a `model.py` of the Python backend is to Triton: one `execute` that is given requests and returns their answers.
 *
 * The module exports `open`. It runs on the one thread of its process; whatever it throws fails its own requests only.
 * It holds no retry, limit or time-out: deadlines, queues and faults of other services are the sidecar's work.
 */

import type { ParameterValue, Tensor, TensorSpec } from '../../../proto/datatypes.js';

export type { ParameterValue };

/** Tensors by their names. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** Called once when the model is loaded. Rejects with an Error that says what is wrong; the model then never gets a call. */
export type OpenModel = (context: ModelContext) => Promise<ModelCode>;

/** What a model in code can use. */
export interface ModelContext {
  readonly name: string;
  readonly version: string;
  /** Absolute path of the directory of model.yaml: files that the model brings along are read from here. */
  readonly directory: string;
  /** `settings` of model.yaml, as written there; empty where there are none. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Loads an ONNX file of the directory. It is released when the model is unloaded. Rejects with the runtime's words. */
  session(file: string): Promise<OnnxSession>;
  /**
   * Another model service, reached through the own sidecar's upstream of this name (`services.NAME.upstreams` of a mesh
   * file, which sets `OUTRIDER_UPSTREAM_<NAME>`). Throws an Error that names the variable where it is not set.
   */
  upstream(name: string): Upstream;
}

/** A loaded ONNX file. */
export interface OnnxSession {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Blocks the thread while the network runs. All inputs are required. Rejects with the runtime's words. */
  run(inputs: Tensors): Promise<Tensors>;
}

/** A model service that is called through the sidecar. Nothing is retried here. */
export interface Upstream {
  /**
   * ModelInfer with the deadline and the trace context of the request that it serves, cancelled together with it.
   * Rejects with an UpstreamError.
   */
  infer(model: string, inputs: Tensors, within: ModelRequest): Promise<UpstreamAnswer>;
}

/** What an upstream answered. */
export interface UpstreamAnswer {
  readonly outputs: Tensors;
  /** `outrider-degraded` of its response metadata: the answer came from a fallback. Empty: it is the model's own. */
  readonly degraded: string;
}

/** One request. Its tensors have the datatypes, ranks and sizes that the model declares. */
export interface ModelRequest {
  readonly inputs: Tensors;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /** Epoch ms; Infinity when the caller set no deadline. */
  readonly deadlineMs: number;
  /** Aborted when the caller has gone or the deadline has passed: long loops look at it between steps. */
  readonly signal: AbortSignal;
  /** Of the request's metadata (lower case); undefined where there is none. */
  header(name: string): string | undefined;
  /** Where the request belongs to a sequence (`sequence_id`), and `sequence` stands in model.yaml. */
  readonly sequence: SequenceState | undefined;
}

/** What the server keeps between the requests of one sequence. They arrive one after the other, never two at once. */
export interface SequenceState {
  readonly id: string;
  /** This is the first request: `state` is undefined. */
  readonly start: boolean;
  /** This is the last one: `state` is dropped after it. */
  readonly end: boolean;
  /** Whatever the model keeps. */
  state: unknown;
}

/** The answer of one request. */
export interface ModelAnswer {
  readonly outputs: Tensors;
  /** Sent as parameters of the response; `degraded: <why>` marks an answer that lacks something. */
  readonly parameters?: Readonly<Record<string, ParameterValue>>;
}

/** A model in code, loaded. */
export interface ModelCode {
  /** What it takes and gives; −1 is any size. */
  readonly inputs: readonly CodeTensorSpec[];
  readonly outputs: readonly CodeTensorSpec[];
  /**
   * Answers requests that wait, in one run: one, or up to `batching.max_batch` of model.yaml. One answer for each, in their
   * order; an Error in its place fails that request alone (INTERNAL, or the status of a RequestError).
   */
  execute?(requests: readonly ModelRequest[]): Promise<readonly (ModelAnswer | Error)[]>;
  /**
   * Many answers for one request, for ModelStreamInfer. Each `next()` is one turn: other calls run between two answers.
   * A model without it answers a stream with `execute`.
   */
  stream?(request: ModelRequest): AsyncIterator<ModelAnswer>;
  /** When the model is unloaded. No run is under way. */
  close?(): Promise<void>;
}

/** One input or output that a model in code declares. */
export interface CodeTensorSpec {
  readonly name: string;
  readonly datatype: TensorSpec['datatype'];
  readonly shape: readonly number[];
  /** The request may leave it out; default: it may not. Inputs only. */
  readonly optional?: boolean;
}

/** Thrown by a model for a request that is wrong: INVALID_ARGUMENT with this message (what was found, what was expected). */
export class RequestError extends Error {}

/** An upstream's failure: thrown on by a model that cannot do without, its caller gets the same gRPC status. */
export class UpstreamError extends Error {
  /** @param code the gRPC status code. */
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
    this.name = 'UpstreamError';
  }
}
