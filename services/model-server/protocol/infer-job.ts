/** A ModelInferRequest as a job of the queue, and an answer of the queue as a ModelInferResponse. */

import type { Tensor } from '../../../proto/datatypes.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { encodeRaw } from '../../../proto/tensors.js';
import type { Model } from '../models/model.js';
import { invalidArgument, type RpcError } from '../rpc.js';
import type { Answer, AnswerStream, Job } from '../runs/job.js';
import { CALLER_KEY, type Sequence, type SequenceFlags } from '../runs/sequences.js';
import type { Call } from './call.js';
import { classCounts, classify } from './classification.js';
import { inferParameter, type RequestOptions, readParameters } from './parameters.js';
import { decodeInputs, requestedOutputs } from './request.js';
import { findReadyModel, type Serving } from './serving.js';

/** How a job tells its end. */
export interface InferEnds {
  readonly done: Job['done'];
  readonly streams?: AnswerStream;
}

/** A request that has been found valid: a job of the queue, and the response of its answer. */
export class PreparedInfer implements Job {
  readonly runner: Model;
  readonly options: RequestOptions;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly wanted: readonly number[];
  readonly parameters: Job['parameters'];
  readonly deadlineMs: number;
  readonly queueTimeoutMs: number;
  readonly priority: number;
  readonly sequence: Sequence | undefined;
  readonly sequenceFlags: SequenceFlags | undefined;
  readonly decodeMs: number;
  readonly streams: AnswerStream | undefined;
  arrivedMs = 0;
  private readonly id: string;
  private readonly classes: readonly (number | undefined)[];
  private cancelListener: (() => void) | undefined = undefined;
  private isCancelled = false;
  private hasLeft = false;

  /** Known and ready → parameters → every tensor valid → its sequence. Throws the RpcError or TensorError that says what is not. */
  constructor(
    private readonly serving: Serving,
    request: ModelInferRequest,
    private readonly call: Call,
    private readonly ends: InferEnds,
  ) {
    const beganMs = serving.runNow();
    const model = findReadyModel(serving, request.model_name, request.model_version);
    const options = readParameters(model, request);
    this.runner = model;
    this.options = options;
    this.id = request.id ?? '';
    this.wanted = requestedOutputs(model, request);
    this.classes = classCounts(model.name, request.outputs);
    if (this.classes.length > 0) requireNumbers(model, this.wanted, this.classes);
    this.inputs = decodeInputs(model, request);
    this.decodeMs = serving.runNow() - beganMs;
    this.queueTimeoutMs = options.queueTimeoutMs;
    this.parameters = options.custom;
    this.priority = options.priority;
    this.deadlineMs = call.deadlineMs;
    this.streams = ends.streams;
    this.sequenceFlags = options.sequence;
    this.sequence =
      options.sequence === undefined
        ? undefined
        : model.sequences!.enter(options.sequence, call.header(CALLER_KEY));
  }

  // ---- Job ----

  done(error: RpcError | undefined, answer: Answer | undefined): void {
    this.ends.done(error, answer);
  }

  header(name: string): string | undefined {
    return this.call.header(name);
  }

  onCancelled(listener: () => void): void {
    if (this.isCancelled) listener();
    else this.cancelListener = listener;
  }

  // ---- the end ----

  /** The response; without an answer, one without outputs. */
  respond(answer: Answer | undefined): ModelInferResponse {
    const { serving, runner: model } = this;
    const sentMs = serving.runNow();
    const response: ModelInferResponse = {
      model_name: model.name,
      model_version: model.version,
      id: this.id,
      outputs: [],
      raw_output_contents: [],
    };
    const tensors = answer?.outputs ?? [];
    for (let i = 0; i < tensors.length; i++) {
      const classes = this.classes[i];
      const tensor = classes === undefined ? tensors[i]! : classified(model, tensors[i]!, classes);
      const { name } = model.outputs[this.wanted[i]!]!;
      response.outputs.push({ name, datatype: tensor.datatype, shape: [...tensor.dims] });
      response.raw_output_contents.push(encodeRaw(tensor));
    }
    const parameters = answer?.parameters;
    if (parameters !== undefined)
      response.parameters = Object.fromEntries(
        Object.entries(parameters).map(([name, value]) => [name, inferParameter(value)]),
      );
    model.stats.output.ms += serving.runNow() - sentMs;
    return response;
  }

  /** The job has ended, or will never run. Calling it twice is the same. */
  leave(): void {
    const { sequence, sequenceFlags } = this;
    if (sequence !== undefined && !this.hasLeft) this.runner.sequences!.leave(sequence, sequenceFlags!);
    this.hasLeft = true;
  }

  /** The caller has gone: the job is withdrawn, and what runs of it is told. */
  cancel(): void {
    this.isCancelled = true;
    this.serving.queue.withdraw(this);
    this.cancelListener?.();
    this.leave();
  }
}

function classified(model: Model, tensor: Tensor, count: number): Tensor {
  const labels = model.card?.labels;
  const fits = labels !== undefined && labels.length === tensor.dims.at(-1);
  return classify(tensor, { count, labels: fits ? labels : undefined, isBatched: model.maxBatch > 1 });
}

function requireNumbers(
  model: Model,
  wanted: readonly number[],
  classes: readonly (number | undefined)[],
): void {
  const at = wanted.findIndex((o, i) => classes[i] !== undefined && model.outputs[o]!.datatype === 'BYTES');
  if (at >= 0)
    throw invalidArgument(
      `model '${model.name}', output '${model.outputs[wanted[at]!]!.name}': found classification of a BYTES output, expected one of numbers`,
    );
}
