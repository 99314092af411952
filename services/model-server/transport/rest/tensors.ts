/**
 * Tensors in the JSON of the protocol's REST half: nested or flat lists, single values, and Triton's binary tensor data, which
 * follows the JSON as raw bytes.
 */

import { type Datatype, isDatatype, type Tensor } from '../../../../proto/datatypes.js';
import type { InferParameter, ModelInferRequest, ModelInferResponse } from '../../../../proto/messages.js';
import { decodeRaw, encodeRaw, fromValues } from '../../../../proto/tensors.js';
import type { Signature } from '../../models/signature.js';
import { invalidArgument } from '../../rpc.js';

type Json = Readonly<Record<string, unknown>>;
type Scalar = string | number | boolean;

/** What a request of the REST half says. */
export interface RestInfer {
  readonly request: ModelInferRequest;
  /** For each output whether its data is sent as binary; the first is the default of those that are not named. */
  readonly binary: { readonly all: boolean; readonly named: ReadonlyMap<string, boolean> };
}

/** Depth of nested lists beyond which no shape is meant. */
const MAX_RANK = 16;

/**
 * A ModelInferRequest from its JSON and the binary data behind it. Where a shape is missing it is that of the lists, and a
 * single value has the rank that the model declares; a datatype that is missing is the model's. Throws INVALID_ARGUMENT.
 */
export function readInfer(
  model: { readonly name: string; readonly version: string; readonly inputs: Signature['inputs'] },
  json: unknown,
  binary: Buffer,
): RestInfer {
  const document = objectOf(json, 'request');
  const inputs = listOf(document['inputs'], 'inputs');
  const raw: Uint8Array[] = [];
  let at = 0;
  const tensors = inputs.map((item, i) => {
    const input = objectOf(item, `inputs[${i}]`);
    const name = textOf(input['name'], `inputs[${i}].name`);
    const where = `input '${name}'`;
    const spec = model.inputs.find((declared) => declared.name === name);
    const datatype = datatypeOf(input['datatype'] ?? spec?.datatype, where);
    const parameters = objectOf(input['parameters'] ?? {}, `${where}: parameters`);
    const size = parameters['binary_data_size'];
    const others = Object.fromEntries(
      Object.entries(parameters).filter(([key]) => key !== 'binary_data_size'),
    );
    const own = { parameters: parametersOf(others, where) };
    if (size === undefined) {
      const tensor = tensorOf(input, datatype, spec, where);
      raw.push(encodeRaw(tensor));
      return { name, datatype, shape: [...tensor.dims], ...own };
    }
    if (input['data'] !== undefined)
      throw invalidArgument(`${where}: found data and binary_data_size, expected one of the two`);
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || at + size > binary.length)
      throw invalidArgument(
        `${where}: found binary_data_size ${String(size)}, expected at most the ${binary.length - at} bytes that are left`,
      );
    raw.push(binary.subarray(at, at + size));
    at += size;
    return { name, datatype, shape: shapeOf(input['shape'], where), ...own };
  });
  if (at < binary.length)
    throw invalidArgument(`request: found ${binary.length - at} bytes behind the inputs, expected none`);
  const outputs = document['outputs'] === undefined ? [] : listOf(document['outputs'], 'outputs');
  const { binary_data_output: given, ...parameters } = objectOf(document['parameters'] ?? {}, 'parameters');
  const all = flagOf(given, "parameters: 'binary_data_output'") ?? false;
  const named = new Map<string, boolean>();
  const requested = outputs.map((item, i) => {
    const output = objectOf(item, `outputs[${i}]`);
    const name = textOf(output['name'], `outputs[${i}].name`);
    const { binary_data: isBinary, ...rest } = objectOf(output['parameters'] ?? {}, `output '${name}'`);
    named.set(name, flagOf(isBinary, `output '${name}': 'binary_data'`) ?? all);
    return { name, parameters: parametersOf(rest, `output '${name}'`) };
  });
  const id = document['id'] === undefined ? '' : textOf(document['id'], 'id');
  return {
    request: {
      model_name: model.name,
      model_version: model.version,
      id,
      parameters: parametersOf(parameters, 'parameters'),
      inputs: tensors,
      outputs: requested,
      raw_input_contents: raw,
    },
    binary: { all, named },
  };
}

/** The JSON of a response, and the binary data that follows it. */
export function writeInfer(
  response: ModelInferResponse,
  { all, named }: RestInfer['binary'],
): { readonly json: object; readonly binary: readonly Uint8Array[] } {
  const binary: Uint8Array[] = [];
  const outputs = response.outputs.map(({ name, datatype, shape }, i) => {
    const bytes = response.raw_output_contents[i]!;
    const dims = shape.map(Number);
    if (named.get(name) ?? all) {
      binary.push(bytes);
      return { name, datatype, shape: dims, parameters: { binary_data_size: bytes.length } };
    }
    const count = dims.reduce((product, size) => product * size, 1);
    const elements = decodeRaw(bytes, datatype as Datatype, count, name) as ArrayLike<
      string | number | bigint
    >;
    const data = Array.from(elements, (value) => plain(value, datatype));
    return { name, datatype, shape: dims, data };
  });
  const { model_name, model_version, id, parameters } = response;
  const json = {
    model_name,
    model_version,
    ...(id === '' ? {} : { id }),
    ...(parameters === undefined ? {} : { parameters: plainParameters(parameters) }),
    outputs,
  };
  return { json, binary };
}

/** JSON has one kind of number: 64-bit integers beyond ±2⁵³ lose nothing as text only, and NaN is null. */
function plain(value: string | number | bigint, datatype: string): Scalar | null {
  if (datatype === 'BOOL') return value === 1;
  if (typeof value === 'bigint')
    return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : String(value);
  return typeof value === 'number' && !Number.isFinite(value) ? null : value;
}

function plainParameters(parameters: Readonly<Record<string, InferParameter>>): Record<string, Scalar> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, p]) => {
      const integer = p.int64_param ?? p.uint64_param;
      const number = integer === undefined ? undefined : Number(integer);
      return [name, p.string_param ?? p.bool_param ?? number ?? p.double_param ?? ''];
    }),
  );
}

function tensorOf(
  input: Json,
  datatype: Datatype,
  spec: Signature['inputs'][number] | undefined,
  where: string,
): Tensor {
  if (input['data'] === undefined)
    throw invalidArgument(`${where}: found no data, expected a list of values`);
  if (datatype === 'FP16' || datatype === 'BF16')
    throw invalidArgument(`${where}: found ${datatype} in JSON, expected binary tensor data`);
  const { values, dims } = flatten(input['data'], where);
  if (datatype === 'INT64' || datatype === 'UINT64') requireExact(values, datatype, where);
  const isSingle = dims.length === 0;
  const shape =
    input['shape'] === undefined
      ? isSingle
        ? (spec?.shape ?? []).map(() => 1)
        : dims
      : shapeOf(input['shape'], where);
  const count = shape.reduce((product, size) => product * size, 1);
  if (values.length !== count)
    throw invalidArgument(
      `${where}: found ${values.length} values, expected ${count} for shape [${shape.join(',')}]`,
    );
  return { datatype, dims: shape, data: fromValues(values, datatype, where) };
}

/** What stood in the text as another number cannot be told after JSON.parse: it would be changed without a word. */
function requireExact(values: readonly Scalar[], datatype: Datatype, where: string): void {
  const rounded = values.find((value) => Number.isInteger(value) && !Number.isSafeInteger(value));
  if (rounded !== undefined)
    throw invalidArgument(
      `${where}: found ${datatype} ${rounded} as a number of JSON, which is rounded beyond ±2^53; expected text or binary tensor data`,
    );
}

/** The values in row-major order, and the sizes of the lists. Lists of unequal sizes are INVALID_ARGUMENT. */
function flatten(data: unknown, where: string): { values: Scalar[]; dims: number[] } {
  const dims: number[] = [];
  for (let level = data; Array.isArray(level); level = level[0]) {
    if (dims.length === MAX_RANK)
      throw invalidArgument(`${where}: found lists deeper than ${MAX_RANK}, expected a tensor`);
    dims.push(level.length);
  }
  const values: Scalar[] = [];
  const walk = (item: unknown, depth: number): void => {
    if (depth === dims.length) {
      if (typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean')
        throw invalidArgument(`${where}: found ${wordFor(item)}, expected a value`);
      values.push(item);
      return;
    }
    if (!Array.isArray(item) || item.length !== dims[depth])
      throw invalidArgument(`${where}: found lists of different sizes, expected ${dims[depth]} in each`);
    for (const inner of item) walk(inner, depth + 1);
  };
  walk(data, 0);
  return { values, dims };
}

function shapeOf(shape: unknown, where: string): number[] {
  const sizes = listOf(shape, `${where}: shape`);
  if (sizes.every((size) => Number.isSafeInteger(size) && (size as number) >= 0)) return sizes as number[];
  throw invalidArgument(
    `${where}: found shape ${JSON.stringify(shape).slice(0, 100)}, expected sizes from 0`,
  );
}

function datatypeOf(datatype: unknown, where: string): Datatype {
  if (typeof datatype === 'string' && isDatatype(datatype)) return datatype;
  throw invalidArgument(`${where}: found datatype ${wordFor(datatype)}, expected one such as FP32`);
}

/** The parameters of a request of another method; `given`: as they stand in its JSON. Throws INVALID_ARGUMENT. */
export function readParameters(given: unknown): Record<string, InferParameter> {
  return parametersOf(objectOf(given, 'parameters'), 'parameters');
}

function parametersOf(given: Json, where: string): Record<string, InferParameter> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, parameterOf(value, `${where}: '${name}'`)]),
  );
}

function parameterOf(value: unknown, where: string): InferParameter {
  if (typeof value === 'boolean') return { bool_param: value };
  if (typeof value === 'string') return { string_param: value };
  if (typeof value !== 'number')
    throw invalidArgument(`${where}: found ${wordFor(value)}, expected a bool, number or text`);
  return Number.isSafeInteger(value) ? { int64_param: value } : { double_param: value };
}

function objectOf(value: unknown, where: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw invalidArgument(`${where}: found ${wordFor(value)}, expected an object`);
}

function listOf(value: unknown, where: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw invalidArgument(`${where}: found ${wordFor(value)}, expected a list`);
}

function flagOf(value: unknown, where: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalidArgument(`${where}: found ${wordFor(value)}, expected true or false`);
}

function textOf(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw invalidArgument(`${where}: found ${wordFor(value)}, expected text`);
}

function wordFor(value: unknown): string {
  if (value === undefined) return 'none';
  return (JSON.stringify(value) ?? typeof value).slice(0, 60);
}
