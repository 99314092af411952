/** A ModelInferRequest as a job of the queue, and an answer of the queue as a ModelInferResponse. */

import type { Tensor } from '../../../proto/datatypes.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { encodeRaw } from '../../../proto/tensors.js';
import type { Model } from '../models/model.js';
import { invalidArgument } from '../rpc.js';
import type { Answer, AnswerStream, Job } from '../runs/job.js';
import type { Call } from './call.js';
import { classCounts, classify } from './classification.js';
import { inferParameter, type RequestOptions, readParameters } from './parameters.js';
import { decodeInputs, requestedOutputs } from './request.js';
import { findReadyModel, type Serving } from './serving.js';

/** A request that has been found valid. */
export interface PreparedInfer {
  readonly model: Model;
  readonly options: RequestOptions;
  readonly job: Job;
  /** The response that carries the answer; undefined: one without outputs. */
  respond(answer: Answer | undefined): ModelInferResponse;
  /** The job has ended, or will never run. Calling it twice is the same. */
  leave(): void;
  /** The caller has gone: the job is withdrawn, and what runs of it is told. */
  cancel(): void;
}

/** How a job tells its end. */
export interface InferEnds {
  readonly done: Job['done'];
  readonly streams?: AnswerStream;
}

/** Known and ready → parameters → every tensor valid → its sequence. Throws the RpcError or TensorError that says what is not. */
export function prepareInfer(
  serving: Serving,
  request: ModelInferRequest,
  call: Call,
  { done, streams }: InferEnds,
): PreparedInfer {
  const beganMs = serving.runNow();
  const model = findReadyModel(serving, request.model_name, request.model_version);
  const options = readParameters(model, request);
  const wanted = requestedOutputs(model, request);
  const classes = classCounts(model.name, request.outputs);
  requireNumbers(model, wanted, classes);
  const inputs = decodeInputs(model, request);
  const decodeMs = serving.runNow() - beganMs;
  const flags = options.sequence;
  const sequence = flags === undefined ? undefined : model.sequences!.enter(flags);
  let onCancelled: (() => void) | undefined;
  const job: Job = {
    runner: model,
    inputs,
    wanted,
    parameters: options.custom,
    deadlineMs: call.deadlineMs,
    queueTimeoutMs: options.queueTimeoutMs,
    priority: options.priority,
    sequence,
    sequenceFlags: flags,
    decodeMs,
    arrivedMs: 0,
    done,
    header: (name) => call.header(name),
    onCancelled: (listener) => {
      onCancelled = listener;
    },
    ...(streams === undefined ? {} : { streams }),
  };
  let left = sequence === undefined;
  const leave = () => {
    if (!left) model.sequences!.leave(sequence!);
    left = true;
  };
  return {
    model,
    options,
    job,
    respond: (answer) => {
      const sentMs = serving.runNow();
      const outputs = (answer?.outputs ?? []).map((tensor, i) =>
        classes[i] === undefined ? tensor : classified(model, tensor, classes[i]),
      );
      const parameters = answer?.parameters;
      const response: ModelInferResponse = {
        model_name: model.name,
        model_version: model.version,
        id: request.id ?? '',
        outputs: outputs.map(({ datatype, dims }, o) => ({
          name: model.outputs[wanted[o]!]!.name,
          datatype,
          shape: [...dims],
        })),
        raw_output_contents: outputs.map(encodeRaw),
      };
      if (parameters !== undefined)
        response.parameters = Object.fromEntries(
          Object.entries(parameters).map(([name, value]) => [name, inferParameter(value)]),
        );
      model.stats.output.ms += serving.runNow() - sentMs;
      return response;
    },
    leave,
    cancel: () => {
      serving.queue.withdraw(job);
      onCancelled?.();
      leave();
    },
  };
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
