/**
 * The messages of the Open Inference Protocol that a golden probe sends and reads, as bytes: ModelMetadata and
 * ModelInfer. Field numbers are those of proto/inference.proto; the shapes are those of proto/messages.ts.
 */

import { contentFields, type Datatype } from '../../proto/datatypes.js';
import type * as pb from '../../proto/messages.js';
import { type Field, fieldsOf, MessageWriter, varintsOf } from './protobuf.js';

export const MODEL_METADATA = '/inference.GRPCInferenceService/ModelMetadata';
export const MODEL_INFER = '/inference.GRPCInferenceService/ModelInfer';
export const MODEL_STREAM_INFER = '/inference.GRPCInferenceService/ModelStreamInfer';

/** An input tensor as `raw_input_contents` has it: little-endian, row-major. */
export interface RawInput {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly raw: Uint8Array;
}

/** A ModelMetadataRequest. An empty version means the one the server chooses. */
export function encodeMetadataRequest(model: string, version: string): Buffer {
  return new MessageWriter().text(1, model).text(2, version).finish();
}

/** A ModelInferRequest with raw contents: the inputs in their order, and the names of the outputs that are wanted. */
export function encodeInferRequest(
  model: string,
  version: string,
  inputs: readonly RawInput[],
  outputs: readonly string[],
): Buffer {
  const message = new MessageWriter().text(1, model).text(2, version);
  for (const { name, datatype, shape } of inputs)
    message.message(5, new MessageWriter().text(1, name).text(2, datatype).integers(3, shape));
  for (const name of outputs) message.message(6, new MessageWriter().text(1, name));
  for (const { raw } of inputs) message.bytes(7, raw);
  return message.finish();
}

/** Names and datatypes of inputs and outputs. Throws a RangeError when the bytes are no message. */
export function decodeMetadataResponse(bytes: Buffer): Pick<pb.ModelMetadataResponse, 'inputs' | 'outputs'> {
  const inputs: pb.TensorMetadata[] = [];
  const outputs: pb.TensorMetadata[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.type !== 'bytes') continue;
    if (field.number === 4) inputs.push(decodeTensor(field.value));
    else if (field.number === 5) outputs.push(decodeTensor(field.value));
  }
  return { inputs, outputs };
}

/** The properties in an answer to ModelMetadata. Throws a RangeError when the bytes are no message. */
export function decodeProperties(bytes: Buffer): ReadonlyMap<string, string> {
  const properties = new Map<string, string>();
  for (const field of fieldsOf(bytes)) {
    if (field.number !== 6 || field.type !== 'bytes') continue;
    let key = '';
    let value = '';
    for (const part of fieldsOf(field.value)) {
      if (part.number === 1) key = textOf(part);
      else if (part.number === 2) value = textOf(part);
    }
    properties.set(key, value);
  }
  return properties;
}

/** A ModelInferResponse, as far as a sidecar reads it. */
export interface InferAnswer {
  readonly outputs: readonly pb.InferTensor[];
  /** One for each output in its order, or none where they carry typed contents. */
  readonly raw: readonly Buffer[];
}

/** Throws a RangeError when the bytes are no message. */
export function decodeInferResponse(bytes: Buffer): InferAnswer {
  const outputs: pb.InferTensor[] = [];
  const raw: Buffer[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.type !== 'bytes') continue;
    if (field.number === 5) outputs.push(decodeTensor(field.value));
    else if (field.number === 6) raw.push(field.value);
  }
  return { outputs, raw };
}

/** One tensor of an answer. Throws a RangeError when the bytes are no message. */
export function decodeTensor(bytes: Buffer): pb.InferTensor {
  const tensor: pb.InferTensor = { name: '', datatype: '', shape: [] };
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) tensor.name = textOf(field);
    else if (field.number === 2) tensor.datatype = textOf(field);
    else if (field.number === 3) append(tensor.shape, numbersOf(field).map(signed));
    else if (field.number === 5 && field.type === 'bytes') tensor.contents = contentsOf(field.value);
  }
  return tensor;
}

type Contents = Required<pb.InferTensorContents>;

/** Every number may come packed or alone, as the protocol asks of readers. */
function contentsOf(bytes: Buffer): pb.InferTensorContents {
  const contents = Object.fromEntries(contentFields.map((name) => [name, []])) as unknown as Contents;
  for (const field of fieldsOf(bytes)) {
    const numbers = field.number < 6 ? numbersOf(field) : [];
    if (field.number === 1) append(contents.bool_contents, numbers.map(Boolean));
    else if (field.number === 2) append(contents.int_contents, numbers.map(signed).map(Number));
    else if (field.number === 3) append(contents.int64_contents, numbers.map(signed));
    else if (field.number === 4) append(contents.uint_contents, numbers.map(Number));
    else if (field.number === 5) append(contents.uint64_contents, numbers.map(String));
    else if (field.number === 6) append(contents.fp32_contents, fractionsOf(field, 4));
    else if (field.number === 7) append(contents.fp64_contents, fractionsOf(field, 8));
    else if (field.number === 8 && field.type === 'bytes') contents.bytes_contents.push(field.value);
  }
  return contents;
}

/** `push` with a long list would not fit the stack. */
function append<T>(list: T[], items: Iterable<T>): void {
  for (const item of items) list.push(item);
}

function textOf(field: Field): string {
  return field.type === 'bytes' ? field.value.toString('utf8') : '';
}

function numbersOf(field: Field): bigint[] {
  if (field.type === 'varint') return [field.value];
  return field.type === 'bytes' ? varintsOf(field.value) : [];
}

function signed(value: bigint): string {
  return String(BigInt.asIntN(64, value));
}

function* fractionsOf(field: Field, size: 4 | 8): Generator<number> {
  if (field.type === 'varint') return;
  const { value } = field;
  if (value.length % size !== 0) throw new RangeError('the message is cut off');
  for (let at = 0; at < value.length; at += size)
    yield size === 4 ? value.readFloatLE(at) : value.readDoubleLE(at);
}
