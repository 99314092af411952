import { type Datatype, elementBytes, type Tensor } from '../../../proto/datatypes.js';
import type { ModelMetadataResponse, TensorMetadata } from '../../../proto/messages.js';
import { decodeRaw, fromValues } from '../../../proto/tensors.js';
import { CommandFailure, oneLine } from '../failure.js';
import { fileKind, unreadKind } from './file-kind.js';
import { centredInk, decodePng, decodeRgb, toSize } from './image.js';
import { tensorOfText } from './json-value.js';
import { parseNpy } from './npy.js';
import { fitShape, stacked } from './shape.js';
import { decodeWav, resampled } from './wav.js';

type Input = TensorMetadata & { readonly datatype: Datatype };

/** Samples a second of `audio/16khz`. */
export const AUDIO_RATE = 16_000;

/**
 * A file as a tensor. What kind of file it is stands in its first bytes; what it means for the model,
 * in the model's properties (`input_kind`).
 *
 * @param shown name of the file in messages.
 * @throws CommandFailure: 1 for a file that cannot be used, 2 for text that is no value.
 */
export function tensorOfFile(
  bytes: Buffer,
  { path, shown }: { readonly path: string; readonly shown: string },
  { input, metadata }: { readonly input: Input; readonly metadata: ModelMetadataResponse },
): Tensor {
  const kind = fileKind(bytes);
  const where = `${shown}: input '${input.name}'`;
  try {
    if (metadata.properties['input_kind'] === 'bytes') return ofBytes(bytes, input, where);
    if (kind === 'PNG') return ofPicture(bytes, input, metadata);
    if (kind === 'WAV') return ofSound(bytes, input, metadata);
    if (kind === 'NumPy') {
      const { dims, data } = parseNpy(bytes, input.datatype);
      return { datatype: input.datatype, dims: fitShape(dims, data.length, input), data };
    }
    if (/\.(bin|raw)$/.test(path)) return ofRaw(bytes, input, shown);
    const unread = unreadKind(bytes);
    if (unread !== undefined) throw new Error(`input '${input.name}': ${unread}`);
  } catch (error) {
    throw error instanceof CommandFailure ? error : new CommandFailure(`${shown}: ${oneLine(error)}`);
  }
  return ofText(bytes.toString('utf8'), input, shown);
}

/** JSON as a whole; else a value in each line, where the input has room for rows. */
function ofText(text: string, input: Input, shown: string): Tensor {
  const whole = text.trim();
  const lines = whole.split(/\r?\n/).filter((line) => line.trim() !== '');
  const isList = whole.startsWith('[') || whole.startsWith('{');
  if (lines.length < 2 || Number(input.shape[0]) !== -1 || (isList && isJson(whole)))
    return tensorOfText(whole, input, shown);
  return stacked(
    lines.map((line, i) => tensorOfText(line, input, `${shown}, line ${i + 1}`)),
    input,
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function ofPicture(bytes: Buffer, input: Input, metadata: ModelMetadataResponse): Tensor {
  const { input_kind, input_height, input_width, normalise } = metadata.properties;
  const { datatype, name } = input;
  if (input_kind === 'image/rgb') return ofColours(bytes, input, metadata);
  const width = Number(input_width);
  const height = Number(input_height);
  if (input_kind !== 'image/grey' || !(width > 0 && height > 0) || !datatype.startsWith('FP'))
    throw new Error(
      `found a picture; model '${metadata.name}' does not say that input '${name}' is one (properties input_kind: image/grey with input_height and input_width, or image/rgb)`,
    );
  if (normalise !== undefined && normalise !== 'ink-centred')
    throw new Error(
      `model '${metadata.name}' wants its pictures normalised '${normalise}', which is not known here`,
    );
  const grey = decodePng(bytes);
  const { values } = normalise === undefined ? toSize(grey, width, height) : centredInk(grey, width, height);
  const data = datatype === 'FP32' ? values : fromValues([...values], datatype, 'picture');
  return { datatype, dims: fitShape([height, width], data.length, input), data };
}

/** Height × width × 3, or 3 × height × width where the shape says so; 0 to 255 as UINT8, 0 to 1 as floats. */
function ofColours(bytes: Buffer, input: Input, { properties }: ModelMetadataResponse): Tensor {
  const { datatype, name } = input;
  const shape = input.shape.map(Number);
  const planes = shape.at(-3) === 3 && shape.at(-1) !== 3;
  const picture = decodeRgb(bytes, {
    width: Number(properties['input_width'] ?? 0),
    height: Number(properties['input_height'] ?? 0),
  });
  const { width, height } = picture.red;
  const channels = [picture.red, picture.green, picture.blue].map(({ values }) => values);
  const size = width * height;
  const at = planes
    ? (i: number) => channels[Math.floor(i / size)]![i % size]!
    : (i: number) => channels[i % 3]![Math.floor(i / 3)]!;
  if (datatype !== 'UINT8' && !datatype.startsWith('FP'))
    throw new Error(`input '${name}': found a picture, expected ${datatype} values`);
  const values = Array.from({ length: 3 * size }, (_, i) =>
    datatype === 'UINT8' ? Math.min(255, Math.max(0, Math.round(255 * at(i)))) : at(i),
  );
  const dims = planes ? [3, height, width] : [height, width, 3];
  return { datatype, dims: fitShape(dims, values.length, input), data: fromValues(values, datatype, name) };
}

/**
 * Mono samples at 16 kHz, from −1 to 1 or as INT16. Where the last dimension has a fixed size, the
 * sound becomes as many windows of it, the last one filled with silence.
 */
function ofSound(bytes: Buffer, input: Input, metadata: ModelMetadataResponse): Tensor {
  const { datatype, name, shape } = input;
  if (metadata.properties['input_kind'] !== 'audio/16khz' || !/^(FP32|FP64|INT16)$/.test(datatype))
    throw new Error(
      `found sound; model '${metadata.name}' does not say that input '${name}' is sound (property input_kind: audio/16khz)`,
    );
  const samples = resampled(decodeWav(bytes), AUDIO_RATE);
  if (samples.length === 0) throw new Error(`input '${name}': found no samples, expected one at least`);
  const window = Number(shape.at(-1));
  const count = window > 0 ? Math.ceil(samples.length / window) : 1;
  const length = window > 0 ? count * window : samples.length;
  const values = new Float32Array(length);
  values.set(samples);
  const data =
    datatype === 'FP32'
      ? values
      : fromValues(
          Array.from(values, (v) => (datatype === 'INT16' ? Math.round(v * 32_767) : v)),
          datatype,
          name,
        );
  if (window <= 0) return { datatype, dims: fitShape([length], length, input), data };
  return { datatype, dims: [count, ...shape.slice(1, -1).map(Number), window], data };
}

function ofBytes(bytes: Buffer, input: Input, where: string): Tensor {
  if (input.datatype !== 'UINT8') throw new Error(`${where}: found bytes, expected ${input.datatype} values`);
  const dims = fitShape([bytes.length], bytes.length, input);
  return { datatype: 'UINT8', dims, data: new Uint8Array(bytes) };
}

function ofRaw(bytes: Buffer, input: Input, where: string): Tensor {
  const { datatype } = input;
  const size = elementBytes(datatype);
  if (size === 0) throw new Error('BYTES cannot be given as plain bytes, expected JSON');
  const dims = fitShape([], Math.floor(bytes.length / size), input);
  const count = dims.reduce((product, d) => product * d, 1);
  return { datatype, dims, data: decodeRaw(bytes, datatype, count, where) };
}
