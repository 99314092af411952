import { randomUUID } from 'node:crypto';
import type { Tensor } from '../../../proto/datatypes.js';
import type { ModelInferRequest, ModelMetadataResponse } from '../../../proto/messages.js';
import { encodeRaw } from '../../../proto/tensors.js';
import type { GivenInput } from './inputs.js';

/**
 * The requests for these inputs: one, or for sound that is longer than the window of the model one for
 * each window, in the order of the sound, as one sequence (Triton's `sequence_id`, `sequence_start`,
 * `sequence_end`), so that a model with state keeps it between them.
 */
export function requestsOf(
  given: readonly GivenInput[],
  metadata: ModelMetadataResponse,
  { model, version }: { readonly model: string; readonly version: string },
): ModelInferRequest[] {
  const windows = given.map((input) => windowsOf(input, metadata));
  const count = Math.max(1, ...windows.map(({ length }) => length));
  const id = randomUUID();
  return Array.from({ length: count }, (_, i) => {
    // What does not come in windows goes with each of them.
    const tensors = windows.map((of) => of[i] ?? of[0]!);
    return {
      model_name: model,
      model_version: version,
      ...(count === 1 ? {} : { parameters: sequence(id, { start: i === 0, end: i === count - 1 }) }),
      ...encoded(given.map(({ name }, t) => ({ name, tensor: tensors[t]! }))),
    };
  });
}

/** Inputs as a request carries them: raw, in their order. */
export function encoded(
  given: readonly Pick<GivenInput, 'name' | 'tensor'>[],
): Required<Pick<ModelInferRequest, 'inputs' | 'raw_input_contents'>> {
  return {
    inputs: given.map(({ name, tensor: { datatype, dims } }) => ({ name, datatype, shape: [...dims] })),
    raw_input_contents: given.map(({ tensor }) => encodeRaw(tensor)),
  };
}

function sequence(id: string, { start, end }: { start: boolean; end: boolean }) {
  return {
    sequence_id: { string_param: id },
    sequence_start: { bool_param: start },
    sequence_end: { bool_param: end },
  };
}

/** Rows beyond what the declared shape takes are windows of their own. */
function windowsOf({ name, tensor }: GivenInput, { inputs }: ModelMetadataResponse): Tensor[] {
  const declared = inputs.find((input) => input.name === name)!.shape.map(Number);
  const { datatype, dims, data } = tensor;
  const takesRows = declared.length === dims.length && (declared[0] === -1 || declared[0] === dims[0]);
  if (takesRows || Array.isArray(data)) return [tensor];
  const count = dims[0]!;
  const size = data.length / count;
  return Array.from({ length: count }, (_, i) => ({
    datatype,
    dims: declared.map((d) => (d < 0 ? 1 : d)),
    data: data.subarray(i * size, (i + 1) * size),
  }));
}
