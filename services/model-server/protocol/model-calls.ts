/** The calls that ask about one model: whether it is ready, what it takes and gives, how it is configured. */

import type { Datatype } from '../../../proto/datatypes.js';
import type * as pb from '../../../proto/messages.js';
import type { Model } from '../models/model.js';
import type { ServedVersions } from '../models/version-policy.js';
import type { UnaryHandler } from './call.js';
import { findModel, type Serving } from './serving.js';

/** What Triton calls an ONNX model. */
const PLATFORM = 'onnxruntime_onnx';
const BACKEND = 'onnxruntime';

/** ModelReady, with the reason in `model-not-ready-reason` when it is not. NOT_FOUND for an unknown model. */
export function modelReady(serving: Serving): UnaryHandler<pb.ModelReadyRequest, pb.ModelReadyResponse> {
  return ({ name, version }, _call, reply) => {
    const model = findModel(serving, name, version);
    if (model.state === 'ready') reply(undefined, { ready: true });
    else reply(undefined, { ready: false }, { 'model-not-ready-reason': model.why });
  };
}

/** ModelMetadata: inputs, outputs and the versions served. NOT_FOUND for an unknown model. */
export function modelMetadata(
  serving: Serving,
): UnaryHandler<pb.ModelMetadataRequest, pb.ModelMetadataResponse> {
  return ({ name, version }, _call, reply) => {
    const model = findModel(serving, name, version);
    const tensor = ({ name, datatype, shape }: Model['outputs'][number]) => {
      return { name, datatype, shape: [...shape] };
    };
    const own = version ? [model.version] : serving.models.all(model.name).map((m) => m.version);
    const numbered = own.filter((v) => v !== '');
    reply(undefined, {
      name: model.name,
      versions: version ? numbered : serving.served.of(model.name, numbered),
      platform: PLATFORM,
      inputs: model.inputs.map(tensor),
      outputs: model.outputs.map(tensor),
      properties: model.properties,
    });
  };
}

/** ModelConfig: the part of Triton's model configuration that clients read, as the card says it. */
export function modelConfig(serving: Serving): UnaryHandler<pb.ModelConfigRequest, pb.ModelConfigResponse> {
  return ({ name, version }, _call, reply) =>
    reply(undefined, { config: configOf(findModel(serving, name, version), serving.served.policy) });
}

function configOf(model: Model, policy: ServedVersions['policy']): pb.ModelConfig {
  const { card, maxBatch } = model;
  const isBatched = maxBatch > 1;
  // A model that is batched declares its dims without the batch dimension, and 0 says that there is none.
  const dims = (shape: readonly number[]) => [...(isBatched ? shape.slice(1) : shape)];
  const sequence = card?.sequence;
  return {
    name: model.name,
    platform: PLATFORM,
    backend: BACKEND,
    version_policy: policy,
    max_batch_size: isBatched ? maxBatch : 0,
    input: model.inputs.map(({ name, datatype, shape, optional }) => {
      return { name, data_type: typeName(datatype), dims: dims(shape), optional: optional ?? false };
    }),
    output: model.outputs.map(({ name, datatype, shape }) => {
      return { name, data_type: typeName(datatype), dims: dims(shape) };
    }),
    instance_group: [{ name: model.name, count: 1, kind: 'KIND_CPU' }],
    default_model_filename: 'model.onnx',
    ...(isBatched && sequence === undefined
      ? {
          dynamic_batching: {
            preferred_batch_size: [...model.preferredRows],
            max_queue_delay_microseconds: Math.round(model.maxDelayMs * 1000),
          },
        }
      : {}),
    ...(sequence === undefined
      ? {}
      : {
          sequence_batching: {
            max_sequence_idle_microseconds: Math.round(sequence.idle * 1000),
            state: sequence.state.map(({ input, output }) => ({ input_name: input, output_name: output })),
          },
        }),
    parameters: Object.fromEntries(
      Object.entries(card?.properties ?? {}).map(([key, value]) => [key, { string_value: value }]),
    ),
    model_transaction_policy: { decoupled: model.isDecoupled },
  };
}

function typeName(datatype: Datatype): string {
  return datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`;
}
