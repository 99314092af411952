/**
 * ModelInferResponse into bytes. The library goes through an object of its own for each message and field; nearly every response
 * is names, shapes and raw contents, which are written here in one pass into one buffer.
 */

import type { InferTensor, ModelInferResponse } from './messages.js';

/** Numbers below it take one octet as a varint. */
const ONE_OCTET = 0x80;

/** As `library` writes it. It gets what is more, or less, than names, shapes and raw contents: parameters, typed contents, absent fields. */
export function inferResponseWriter(
  library: (response: ModelInferResponse) => Buffer,
): (response: ModelInferResponse) => Buffer {
  return (response) => (isPlain(response) ? encode(response) : library(response));
}

function isPlain(response: Partial<ModelInferResponse>): response is ModelInferResponse {
  const { model_name, parameters, outputs, raw_output_contents: raw } = response;
  if (model_name === undefined || outputs === undefined || raw === undefined) return false;
  return parameters === undefined && outputs.every(isPlainTensor);
}

function isPlainTensor({ name, datatype, shape, parameters, contents }: Partial<InferTensor>): boolean {
  if (name === undefined || datatype === undefined || shape === undefined) return false;
  return parameters === undefined && contents == null && shape.every((size) => Number(size) >= 0);
}

function encode(response: ModelInferResponse): Buffer {
  const { model_name, model_version = '', id = '', outputs, raw_output_contents: raw } = response;
  const bodies = outputs.map(bodyOf);
  let size = textSize(model_name) + textSize(model_version) + textSize(id);
  for (const body of bodies) size += 1 + varintSize(body.length) + body.length;
  for (const bytes of raw) size += 1 + varintSize(bytes.length) + bytes.length;
  const out = Buffer.allocUnsafe(size);
  let at = putText(out, 0, 0x0a, model_name);
  at = putText(out, at, 0x12, model_version);
  at = putText(out, at, 0x1a, id);
  for (const body of bodies) at = putBytes(out, at, 0x2a, body);
  for (const bytes of raw) at = putBytes(out, at, 0x32, bytes);
  return out;
}

/** One InferOutputTensor. */
function bodyOf({ name, datatype, shape }: InferTensor): Buffer {
  const numbers = shape.map(Number);
  let packed = 0;
  for (const size of numbers) packed += varintSize(size);
  const shapeSize = packed === 0 ? 0 : 1 + varintSize(packed) + packed;
  const out = Buffer.allocUnsafe(textSize(name) + textSize(datatype) + shapeSize);
  let at = putText(out, 0, 0x0a, name);
  at = putText(out, at, 0x12, datatype);
  if (packed === 0) return out;
  out[at++] = 0x1a;
  at = putVarint(out, at, packed);
  for (const size of numbers) at = putVarint(out, at, size);
  return out;
}

/** proto3 leaves an empty string out. */
function textSize(text: string): number {
  if (text === '') return 0;
  const length = Buffer.byteLength(text);
  return 1 + varintSize(length) + length;
}

function putText(out: Buffer, at: number, tag: number, text: string): number {
  if (text === '') return at;
  out[at] = tag;
  const from = putVarint(out, at + 1, Buffer.byteLength(text));
  return from + out.write(text, from);
}

function putBytes(out: Buffer, at: number, tag: number, bytes: Uint8Array): number {
  out[at] = tag;
  const from = putVarint(out, at + 1, bytes.length);
  out.set(bytes, from);
  return from + bytes.length;
}

function varintSize(value: number): number {
  let octets = 1;
  for (let rest = value; rest >= ONE_OCTET; rest = Math.floor(rest / ONE_OCTET)) octets++;
  return octets;
}

function putVarint(out: Buffer, at: number, value: number): number {
  let rest = value;
  while (rest >= ONE_OCTET) {
    out[at++] = (rest % ONE_OCTET) | ONE_OCTET;
    rest = Math.floor(rest / ONE_OCTET);
  }
  out[at] = rest;
  return at + 1;
}
