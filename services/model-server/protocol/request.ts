/**
 * A ModelInfer request against what the model declares: every tensor checked before anything is allocated for it or
 * reaches the runtime, which would answer in worse words or not at all. Each refusal is INVALID_ARGUMENT and names
 * the tensor, what was found and what was expected.
 */

import { elementBytes, type Tensor, type TensorSpec } from '../../../proto/datatypes.js';
import { contentsLimits } from '../../../proto/infer-contents.js';
import type { InferTensor, Int64, ModelInferRequest } from '../../../proto/messages.js';
import { decodeRaw, fromContents } from '../../../proto/tensors.js';
import type { Signature } from '../models/signature.js';
import { invalidArgument } from '../rpc.js';

/** No message can carry more elements than this, whatever a shape claims. */
const MAX_ELEMENTS = 2 ** 31;

/** The request's tensors in the order in which the model declares its inputs; undefined where an optional one is left out. */
export function decodeInputs(model: Signature, request: ModelInferRequest): (Tensor | undefined)[] {
  const inputs = request.inputs ?? [];
  const raw = request.raw_input_contents ?? [];
  const specs = model.inputs;
  const position = isInOrder(specs, inputs) ? undefined : positions(model, inputs);
  if (raw.length > 0) requireRawOnly(model, inputs, raw.length);
  const tensors: (Tensor | undefined)[] = [];
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i]!;
    const at = position === undefined ? i : position.get(spec.name);
    if (at !== undefined)
      tensors.push(decodeOne(model, spec, inputs[at]!, raw.length > 0 ? raw[at] : undefined));
    else if (spec.optional) tensors.push(undefined);
    else
      throw invalidArgument(
        `model '${model.name}': input '${spec.name}' is missing, expected ${describe(spec)}`,
      );
  }
  requireSameSymbols(model, tensors);
  return tensors;
}

/** Nearly every request has the inputs of the model as the model declares them. */
function isInOrder(specs: readonly TensorSpec[], inputs: readonly InferTensor[]): boolean {
  if (specs.length !== inputs.length) return false;
  for (let i = 0; i < specs.length; i++) if (specs[i]!.name !== inputs[i]!.name) return false;
  return true;
}

/** Indices of the outputs to return, in the order asked for; all of them when the request names none. */
export function requestedOutputs(model: Signature, request: ModelInferRequest): readonly number[] {
  const requested = request.outputs ?? [];
  if (requested.length === 0) return firstIndices(model.outputs.length);
  const seen = new Set<number>();
  for (const { name } of requested) {
    const index = model.outputs.findIndex((o) => o.name === name);
    if (index < 0)
      throw invalidArgument(
        `model '${model.name}': found output '${name}', expected one of ${names(model.outputs)}`,
      );
    if (seen.has(index))
      throw invalidArgument(`model '${model.name}': output '${name}' is asked for twice, expected once`);
    seen.add(index);
  }
  return [...seen];
}

/** Indices from 0, by how many they are: requests for all outputs share them. */
const indices: (readonly number[])[] = [];

function firstIndices(count: number): readonly number[] {
  indices[count] ??= Array.from({ length: count }, (_, i) => i);
  return indices[count];
}

function positions(model: Signature, inputs: readonly InferTensor[]): Map<string, number> {
  const position = new Map<string, number>();
  inputs.forEach((input, i) => {
    if (!model.inputs.some((spec) => spec.name === input.name)) {
      throw invalidArgument(
        `model '${model.name}': found input '${input.name}', expected ${names(model.inputs)}`,
      );
    }
    if (position.has(input.name)) {
      throw invalidArgument(`model '${model.name}': input '${input.name}' is given twice, expected once`);
    }
    position.set(input.name, i);
  });
  return position;
}

function requireRawOnly(model: Signature, inputs: readonly InferTensor[], rawCount: number): void {
  for (const { name, contents } of inputs) {
    // MLServer's client sends contents without elements beside raw ones.
    if (!hasElements(contents)) continue;
    throw invalidArgument(
      `contents field must not be specified when using raw_input_contents for '${name}' for model '${model.name}'`,
    );
  }
  if (rawCount !== inputs.length) {
    throw invalidArgument(
      `model '${model.name}': found ${rawCount} raw_input_contents, expected ${inputs.length}, one for each input (${names(inputs)})`,
    );
  }
}

function hasElements(contents: InferTensor['contents']): boolean {
  for (const _ in contents) return true;
  return false;
}

function decodeOne(
  model: Signature,
  spec: TensorSpec,
  input: InferTensor,
  raw: Uint8Array | undefined,
): Tensor {
  const where = `model '${model.name}', input '${spec.name}'`;
  const { datatype } = spec;
  if (input.datatype !== datatype) {
    throw invalidArgument(`${where}: found datatype '${input.datatype}', expected ${datatype}`);
  }
  const dims = parseShape(input.shape, spec, where);
  let count = 1;
  for (const size of dims) count *= size;
  if (datatype === 'BYTES' && count > contentsLimits.texts) {
    throw invalidArgument(
      `${where}: found ${count} BYTES elements, expected at most ${contentsLimits.texts}`,
    );
  }
  if (raw !== undefined)
    return textChecked({ datatype, dims, data: decodeRaw(raw, datatype, count, where) }, where);
  if (input.contents == null) {
    // An empty tensor needs no contents; anything else has lost its data.
    if (count === 0) return { datatype, dims, data: decodeRaw(new Uint8Array(0), datatype, 0, where) };
    throw invalidArgument(
      `${where}: found no data, expected ${count} elements in raw_input_contents or contents`,
    );
  }
  return textChecked({ datatype, dims, data: fromContents(input.contents, datatype, count, where) }, where);
}

/** The runtime cuts text at a zero byte, silently; such text is refused instead. */
function textChecked(tensor: Tensor, where: string): Tensor {
  const at = Array.isArray(tensor.data) ? tensor.data.findIndex((text) => text.includes('\0')) : -1;
  if (at >= 0)
    throw invalidArgument(`${where}: BYTES element ${at}: found a zero byte, expected text without one`);
  return tensor;
}

function parseShape(shape: readonly Int64[], spec: TensorSpec, where: string): number[] {
  const { length } = spec.shape;
  if (shape.length !== length) {
    throw invalidArgument(
      `${where}: found shape ${shown(shape)} of rank ${shape.length}, expected ${shown(spec.shape)} of rank ${length}`,
    );
  }
  const dims: number[] = [];
  let product = Math.max(1, elementBytes(spec.datatype));
  for (let i = 0; i < length; i++) {
    const size = Number(shape[i]);
    const wanted = spec.shape[i]!;
    if (!(Number.isSafeInteger(size) && size >= 0) || (wanted >= 0 && size !== wanted)) {
      throw invalidArgument(`${where}: found shape ${shown(shape)}, expected ${shown(spec.shape)}`);
    }
    product *= Math.max(1, size);
    if (product > MAX_ELEMENTS) {
      throw invalidArgument(
        `${where}: found shape ${shown(shape)}, expected at most ${MAX_ELEMENTS} bytes in all`,
      );
    }
    dims.push(size);
  }
  return dims;
}

function shown(shape: readonly Int64[]): string {
  return `[${shape.slice(0, 16).join(',')}${shape.length > 16 ? ',…' : ''}]`;
}

/** Dimensions that a model gives the same name are the same size; the runtime would fail somewhere inside. */
function requireSameSymbols(model: Signature, tensors: readonly (Tensor | undefined)[]): void {
  if (tensors.length < 2) return;
  const sizes = new Map<string, { size: number; input: string }>();
  model.inputs.forEach((spec, t) => {
    spec.symbols.forEach((symbol, i) => {
      const size = tensors[t]?.dims[i];
      if (symbol === undefined || size === undefined) return;
      const first = sizes.get(symbol);
      if (first === undefined) sizes.set(symbol, { size, input: spec.name });
      else if (first.size !== size) {
        throw invalidArgument(
          `model '${model.name}', input '${spec.name}': found ${size} in dimension ${i} ('${symbol}'), expected ${first.size} as in input '${first.input}'`,
        );
      }
    });
  });
}

function describe(spec: TensorSpec): string {
  return `${spec.datatype} [${spec.shape.join(',')}]`;
}

function names(list: readonly { readonly name: string }[]): string {
  return list.map((t) => `'${t.name}'`).join(', ');
}
