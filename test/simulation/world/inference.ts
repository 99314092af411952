/**
 * Messages of the Open Inference Protocol as the applications and models of a simulation write them: the content of a message is its
 * one tensor. Shares no code with the product (proto/inference.proto has the numbers of the fields).
 */
import type { Head } from './content.js';

export const INFERENCE = '/inference.GRPCInferenceService/';
export const MODEL_INFER = `${INFERENCE}ModelInfer`;
export const MODEL_STREAM_INFER = `${INFERENCE}ModelStreamInfer`;

/** Which model a call names. */
export interface NamedModel {
  readonly name: string;
  /** Empty: it leaves the choice to the sidecar. */
  readonly version: string;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left]);
    bytes.push((left % 128) + 128);
  }
}

/** A field of the wire type LEN, without its content. */
function tagOf(field: number, length: number): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(length)]);
}

function field(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([tagOf(number, bytes.length), bytes]);
}

/** The name, type and shape of a tensor of so many bytes. */
function tensor(name: string, type: string, size: number): Buffer {
  return Buffer.concat([field(1, name), field(2, type), field(3, varint(size))]);
}

/** A ModelInferRequest up to its content; the id is that of the call. */
export function requestHead(call: number, { name, version }: NamedModel): Head {
  const named = [field(1, name), ...(version === '' ? [] : [field(2, version)]), field(3, `${call}`)];
  return (size) => Buffer.concat([...named, field(5, tensor('x', 'UINT8', size)), tagOf(7, size)]);
}

/** A ModelInferResponse up to its content. Each version of a model answers the same. */
export function responseHead({ name }: NamedModel): Head {
  return (size) => Buffer.concat([field(1, name), field(5, tensor('y', 'UINT8', size)), tagOf(6, size)]);
}

/** A ModelStreamInferResponse up to its content. */
export function streamHead(model: NamedModel): Head {
  const inner = responseHead(model);
  return (size) => {
    const head = inner(size);
    return Buffer.concat([tagOf(2, head.length + size), head]);
  };
}

/** The answer to the golden input of `MODEL_CARD`. */
export const GOLDEN_ANSWER = Buffer.concat([
  field(1, 'digits'),
  field(5, tensor('y', 'FP32', 1)),
  field(6, Buffer.from([0, 0, 128, 63])),
]);

/** With a golden input whose output is 1. */
export const MODEL_CARD = 'golden: {inputs: {x: {shape: [1], values: [0]}}, outputs: {y: {values: [1]}}}\n';

/** What an application sends and expects in a call of this path; undefined: messages are their content. */
export function headsOf({ id, path, model }: { id: number; path: string; model?: NamedModel }) {
  if (model === undefined) return undefined;
  const response = path === MODEL_STREAM_INFER ? streamHead(model) : responseHead(model);
  return { request: requestHead(id, model), response };
}

/** The id of a ModelInferRequest; empty: it has none, as the golden input. */
export function idOf(request: Buffer): string {
  for (let at = 0; at < request.length; ) {
    let key = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = request[at++] ?? 0;
      key += (byte & 127) * shift;
      if (byte < 128) break;
    }
    let length = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = request[at++] ?? 0;
      length += (byte & 127) * shift;
      if (byte < 128) break;
    }
    if (key % 8 !== 2) return '';
    if (Math.floor(key / 8) === 3) return request.toString('latin1', at, at + length);
    at += length;
  }
  return '';
}
