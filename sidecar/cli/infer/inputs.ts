import { readFile } from 'node:fs/promises';
import {
  type Datatype,
  datatypeInfo,
  type Elements,
  elementBytes,
  isDatatype,
} from '../../../proto/datatypes.js';
import type { InferTensor, ModelMetadataResponse, TensorMetadata } from '../../../proto/messages.js';
import { decodeRaw, encodeRaw, fromValues } from '../../../proto/tensors.js';
import { type GoldenCard, readGoldenCard } from '../../config/file/golden-card.js';
import { CommandFailure, oneLine } from '../failure.js';
import { centredInk, decodePng, toSize } from './image.js';
import { parseNpy } from './npy.js';

/** The file of `outrider init`: its golden inputs are an example. */
const CARD = /^@(.*\/)?model\.yaml$/;

/** Input tensors of a request; `raw` has their contents, in the same order. */
export interface RequestTensors {
  readonly inputs: InferTensor[];
  readonly raw: Uint8Array[];
}

/**
 * Reads `--input` arguments as tensors, and checks them against the inputs that the model declares:
 *
 *   NAME=VALUE   JSON: a number, text, true, or arrays nested by dimension
 *   NAME=@FILE   JSON, .npy, PNG, or plain little-endian bytes (.bin, .raw)
 *   @FILE        for a model with one input; `-` as FILE is standard input
 *   @…/model.yaml   the golden inputs of a card
 *
 * @throws CommandFailure: exit code 2 for a wrong argument, 1 for a file that cannot be used.
 */
export async function requestTensors(
  specs: readonly string[],
  metadata: ModelMetadataResponse,
  stdin: AsyncIterable<Uint8Array>,
): Promise<RequestTensors> {
  const result: RequestTensors = { inputs: [], raw: [] };
  for (const spec of specs) {
    if (CARD.test(spec)) {
      addGolden(spec.slice(1), metadata, result);
      continue;
    }
    const { name, value } = splitSpec(spec, metadata);
    const tensor = declared(name, metadata, `--input ${spec}`);
    const where = `input '${name}'`;
    const read = value.startsWith('@')
      ? await fromFile(value.slice(1), tensor, tensor.datatype, metadata, stdin)
      : fromText(value, tensor, tensor.datatype, where);
    result.inputs.push({ name, datatype: tensor.datatype, shape: read.dims });
    result.raw.push(encodeRaw({ datatype: tensor.datatype, dims: read.dims, data: read.data }));
  }
  return result;
}

/** The golden inputs of a card, as an example of what the model takes. */
function addGolden(file: string, metadata: ModelMetadataResponse, into: RequestTensors): void {
  let golden: GoldenCard;
  try {
    golden = readGoldenCard(file);
  } catch (error) {
    throw new CommandFailure(oneLine(error));
  }
  for (const [name, { shape, values }] of Object.entries(golden.inputs)) {
    const { datatype } = declared(name, metadata, `${file}: golden`);
    const data = fromValues(values, datatype, `${file}: input '${name}'`);
    into.inputs.push({ name, datatype, shape });
    into.raw.push(encodeRaw({ datatype, dims: shape, data }));
  }
}

function declared(
  name: string,
  metadata: ModelMetadataResponse,
  where: string,
): TensorMetadata & { datatype: Datatype } {
  const tensor = metadata.inputs.find((i) => i.name === name);
  if (tensor === undefined) throw usage(`${where}: found input '${name}', expected ${names(metadata)}`);
  const { datatype } = tensor;
  if (!isDatatype(datatype)) throw new CommandFailure(`input '${name}' has the unknown datatype ${datatype}`);
  return { ...tensor, datatype };
}

interface Read {
  readonly dims: number[];
  readonly data: Elements;
}

function splitSpec(spec: string, metadata: ModelMetadataResponse): { name: string; value: string } {
  const at = spec.indexOf('=');
  if (at > 0 && !spec.startsWith('@')) return { name: spec.slice(0, at), value: spec.slice(at + 1) };
  if (spec.startsWith('@') && metadata.inputs.length === 1)
    return { name: metadata.inputs[0]!.name, value: spec };
  throw usage(
    spec.startsWith('@')
      ? `--input ${spec}: the model has ${metadata.inputs.length} inputs, expected NAME=${spec} with one of ${names(metadata)}`
      : `--input ${spec}: expected NAME=VALUE or @FILE; the model's inputs: ${names(metadata)}`,
  );
}

async function fromFile(
  path: string,
  tensor: TensorMetadata,
  datatype: Datatype,
  metadata: ModelMetadataResponse,
  stdin: AsyncIterable<Uint8Array>,
): Promise<Read> {
  const shown = path === '-' ? 'standard input' : path;
  const bytes = await readAll(path, stdin);
  try {
    if (bytes.subarray(0, 8).toString('latin1') === '\x89PNG\r\n\x1a\n')
      return fromPicture(bytes, tensor, datatype, metadata);
    if (bytes.subarray(0, 6).toString('latin1') === '\x93NUMPY') {
      const { dims, data } = parseNpy(bytes, datatype);
      return { dims: fitShape(dims, data.length, tensor), data };
    }
    if (/\.(bin|raw)$/.test(path)) return fromBytes(bytes, tensor, datatype, shown);
  } catch (error) {
    throw error instanceof CommandFailure ? error : new CommandFailure(`${shown}: ${oneLine(error)}`);
  }
  return fromText(bytes.toString('utf8').trim(), tensor, datatype, shown);
}

async function readAll(path: string, stdin: AsyncIterable<Uint8Array>): Promise<Buffer> {
  if (path === '-') {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stdin) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
  try {
    return await readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailure(
      code === 'ENOENT' ? `${path} does not exist` : `${path} cannot be read: ${code}`,
    );
  }
}

function fromPicture(
  bytes: Buffer,
  tensor: TensorMetadata,
  datatype: Datatype,
  metadata: ModelMetadataResponse,
): Read {
  const { input_kind, input_height, input_width, normalise } = metadata.properties;
  const width = Number(input_width);
  const height = Number(input_height);
  if (input_kind !== 'image/grey' || !(width > 0 && height > 0) || !datatype.startsWith('FP'))
    throw new Error(
      `model '${metadata.name}' does not say that input '${tensor.name}' is a grey picture (property input_kind)`,
    );
  if (normalise !== undefined && normalise !== 'ink-centred')
    throw new Error(
      `model '${metadata.name}' wants its pictures normalised '${normalise}', which is not known here`,
    );
  const grey = decodePng(bytes);
  const sized = normalise === undefined ? toSize(grey, width, height) : centredInk(grey, width, height);
  const data = datatype === 'FP32' ? sized.values : fromValues([...sized.values], datatype, 'picture');
  return { dims: fitShape([height, width], data.length, tensor), data };
}

function fromBytes(bytes: Buffer, tensor: TensorMetadata, datatype: Datatype, where: string): Read {
  const size = elementBytes(datatype);
  if (size === 0) throw new Error('BYTES cannot be given as plain bytes, expected JSON');
  const dims = fitShape([], Math.floor(bytes.length / size), tensor);
  const count = dims.reduce((product, d) => product * d, 1);
  return { dims, data: decodeRaw(bytes, datatype, count, where) };
}

function fromText(text: string, tensor: TensorMetadata, datatype: Datatype, where: string): Read {
  let value: unknown;
  try {
    // 64-bit integers would be rounded by JSON, so they are quoted first.
    const wide = datatype === 'INT64' || datatype === 'UINT64';
    value = JSON.parse(wide ? text.replace(/(?<=^|[[,\s])-?\d+(?=$|[\],\s])/g, '"$&"') : text);
  } catch {
    if (datatype !== 'BYTES')
      throw usage(`${where}: found ${shorten(text)}, expected JSON, for example ${example(tensor)}`);
    value = text;
  }
  const flat: (number | string | boolean)[] = [];
  const dims = flatten(value, flat, where);
  try {
    return { dims: fitShape(dims, flat.length, tensor), data: fromValues(flat, datatype, where) };
  } catch (error) {
    throw usage(oneLine(error));
  }
}

/** Appends the leaves in order; returns the dimensions of the nesting. */
function flatten(value: unknown, into: (number | string | boolean)[], where: string): number[] {
  if (!Array.isArray(value)) {
    if (typeof value !== 'number' && typeof value !== 'string' && typeof value !== 'boolean')
      throw usage(
        `${where}: found ${shorten(JSON.stringify(value) ?? 'nothing')}, expected numbers, text, true or false`,
      );
    into.push(value);
    return [];
  }
  const inner = value.map((v) => flatten(v, into, where).join());
  if (new Set(inner).size > 1)
    throw usage(`${where}: found rows of different lengths, expected a full array`);
  return [value.length, ...(inner[0] ?? '').split(',').filter(Boolean).map(Number)];
}

/**
 * The declared shape that takes these elements: the given one where the rank fits, else the one
 * any-size dimension is solved for.
 */
function fitShape(dims: readonly number[], count: number, tensor: TensorMetadata): number[] {
  const declared = tensor.shape.map(Number);
  const matches = (wanted: readonly number[]) =>
    dims.length === wanted.length && wanted.every((d, i) => d < 0 || d === dims[i]);
  if (matches(declared)) return [...dims];
  const nested = dims.reduce((product, d) => product * d, 1) === count; // plain bytes come without dimensions
  const [first = 0, ...others] = declared;
  if (nested && (first === -1 || first === 1) && matches(others)) return [1, ...dims]; // one row
  // [784] or [28,28] for [-1,784]: as many rows as the values fill.
  const fixed = declared.reduce((product, d) => (d < 0 ? product : product * d), 1);
  const open = declared.filter((d) => d < 0).length;
  const rest = count / fixed;
  if (open <= 1 && Number.isInteger(rest) && rest > 0 && (open === 1 || rest === 1))
    return declared.map((d) => (d < 0 ? rest : d));
  throw new Error(
    `input '${tensor.name}': found ${count} values in shape [${dims.join(',')}], expected shape [${declared.join(',')}]`,
  );
}

function example(tensor: TensorMetadata): string {
  const text = datatypeInfo(tensor.datatype as Datatype).array === undefined;
  return `'${tensor.name}=${text ? '["text"]' : '[0, 1]'}'`;
}

function names(metadata: ModelMetadataResponse): string {
  return metadata.inputs.map((i) => `${i.name} (${i.datatype} [${i.shape.join(',')}])`).join(', ');
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function usage(message: string): CommandFailure {
  return new CommandFailure(message, 2);
}
