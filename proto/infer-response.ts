/**
 * ModelInferResponse into bytes. The library goes through an object of its own for each message and field; nearly every response
 * is names, shapes and raw contents, which are written here in one pass into one buffer.
 */

import type { InferTensor, Int64, ModelInferResponse } from './messages.js';

/** Numbers below it take one byte as a varint. */
const ONE_BYTE = 0x80;
/** Characters. */
const LONGEST_SHORT = 32;

/** As `library` writes it. It gets what is more, or less, than names, shapes and raw contents: parameters, typed contents, absent fields. */
export function inferResponseWriter(
  library: (response: ModelInferResponse) => Buffer,
): (response: ModelInferResponse) => Buffer {
  return (response) => (isPlain(response) ? encode(response) : library(response));
}

function isPlain(response: Partial<ModelInferResponse>): response is ModelInferResponse {
  const { model_name, parameters, outputs, raw_output_contents: raw } = response;
  if (model_name === undefined || outputs === undefined || raw === undefined) return false;
  if (parameters !== undefined) return false;
  for (const output of outputs) if (!isPlainTensor(output)) return false;
  return true;
}

function isPlainTensor({ name, datatype, shape, parameters, contents }: Partial<InferTensor>): boolean {
  if (name === undefined || datatype === undefined || shape === undefined) return false;
  if (parameters !== undefined || contents != null) return false;
  for (const size of shape) if (!(Number(size) >= 0)) return false;
  return true;
}

function encode(response: ModelInferResponse): Buffer {
  const { model_name, model_version = '', id = '', outputs, raw_output_contents: raw } = response;
  let size = textSize(model_name) + textSize(model_version) + textSize(id);
  for (const output of outputs) size += partSize(bodySize(output));
  for (const bytes of raw) size += partSize(bytes.length);
  const out = Buffer.allocUnsafe(size);
  let at = putText(out, 0, 0x0a, model_name);
  at = putText(out, at, 0x12, model_version);
  at = putText(out, at, 0x1a, id);
  for (const output of outputs) at = putOutput(out, at, output);
  for (const bytes of raw) {
    at = putTag(out, at, 0x32, bytes.length);
    out.set(bytes, at);
    at += bytes.length;
  }
  return out;
}

/** One InferOutputTensor: its tag and length, then its fields. */
function putOutput(out: Buffer, from: number, tensor: InferTensor): number {
  const { name, datatype, shape } = tensor;
  let at = putTag(out, from, 0x2a, bodySize(tensor));
  at = putText(out, at, 0x0a, name);
  at = putText(out, at, 0x12, datatype);
  if (shape.length === 0) return at;
  at = putTag(out, at, 0x1a, packedSize(shape));
  for (const size of shape) at = putVarint(out, at, Number(size));
  return at;
}

function bodySize({ name, datatype, shape }: InferTensor): number {
  const dims = shape.length === 0 ? 0 : partSize(packedSize(shape));
  return textSize(name) + textSize(datatype) + dims;
}

function packedSize(shape: readonly Int64[]): number {
  let bytes = 0;
  for (const size of shape) bytes += varintSize(Number(size));
  return bytes;
}

/** Of a field of so many bytes, with its tag and length. */
function partSize(bytes: number): number {
  return 1 + varintSize(bytes) + bytes;
}

function putTag(out: Buffer, at: number, tag: number, bytes: number): number {
  out[at] = tag;
  return putVarint(out, at + 1, bytes);
}

/** proto3 leaves an empty string out. */
function textSize(text: string): number {
  return text === '' ? 0 : partSize(isShort(text) ? text.length : Buffer.byteLength(text));
}

function putText(out: Buffer, from: number, tag: number, text: string): number {
  if (text === '') return from;
  if (!isShort(text)) {
    const at = putTag(out, from, tag, Buffer.byteLength(text));
    return at + out.write(text, at);
  }
  const at = putTag(out, from, tag, text.length);
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/** A few characters of ASCII, as names are: a loop over them costs less than the library's encoder. */
function isShort(text: string): boolean {
  if (text.length > LONGEST_SHORT) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= ONE_BYTE) return false;
  return true;
}

function varintSize(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= ONE_BYTE; rest = Math.floor(rest / ONE_BYTE)) bytes++;
  return bytes;
}

function putVarint(out: Buffer, at: number, value: number): number {
  let rest = value;
  while (rest >= ONE_BYTE) {
    out[at++] = (rest % ONE_BYTE) | ONE_BYTE;
    rest = Math.floor(rest / ONE_BYTE);
  }
  out[at] = rest;
  return at + 1;
}
