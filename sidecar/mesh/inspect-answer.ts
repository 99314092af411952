/** One answer of ModelInfer, looked at for what no answer may be: numbers that are none, tensors that do not fit their shape. */

import { type Datatype, type Elements, isDatatype } from '../../proto/datatypes.js';
import type { InferTensor } from '../../proto/messages.js';
import { decodeRaw, fromContents, TensorError } from '../../proto/tensors.js';
import type { InspectedAnswer } from '../core/detect-output.js';
import { decodeInferResponse, type InferAnswer } from '../health/inference-messages.js';
import { fieldsOf } from '../health/protobuf.js';

const PREFIX_BYTES = 5;
const MAX_NAME = 60;

/** @param body as it was sent: one message of gRPC. Undefined: compressed, or no such message. Never throws. */
export function inspectAnswer(body: Buffer): InspectedAnswer | undefined {
  if (body.length < PREFIX_BYTES || body[0] !== 0) return undefined;
  if (body.readUInt32BE(1) !== body.length - PREFIX_BYTES) return undefined;
  const message = body.subarray(PREFIX_BYTES);
  try {
    const answer = decodeInferResponse(message);
    const flaws = answer.outputs.map((output, i) => flawOf(output, answer, i));
    return {
      model: modelIn(message),
      form: answer.outputs.map(formOf).sort().join(', '),
      flaw: flaws.find((flaw) => flaw !== '') ?? '',
    };
  } catch {
    return undefined;
  }
}

/** Its name and version. */
function modelIn(message: Buffer): string {
  let name = '';
  let version = '';
  for (const field of fieldsOf(message)) {
    if (field.type !== 'bytes') continue;
    if (field.number === 1) name = field.value.toString('utf8');
    else if (field.number === 2) version = field.value.toString('utf8');
  }
  return JSON.stringify([name.slice(0, MAX_NAME), version.slice(0, MAX_NAME)]);
}

/** The first dimension is the batch's, and as long as the request asks. */
function formOf({ name, datatype, shape }: InferTensor): string {
  return `${shown(name)} ${datatype.slice(0, MAX_NAME)}[${shape.slice(1).join('×')}]`;
}

function flawOf({ name, datatype, shape, contents }: InferTensor, { raw }: InferAnswer, i: number): string {
  if (!isDatatype(datatype)) return `output ${shown(name)} has no datatype that there is`;
  const count = shape.map(Number).reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count) || shape.some((size) => Number(size) < 0))
    return `output ${shown(name)} has no shape that there is`;
  const bytes = raw[i];
  try {
    const data =
      bytes === undefined
        ? fromContents(contents ?? {}, datatype, count, 'output')
        : decodeRaw(bytes, datatype, count, 'output');
    const odd = oddNumbers(datatype, data);
    return odd === 0 ? '' : `output ${shown(name)}: ${odd} of ${count} numbers are NaN or infinite`;
  } catch (error) {
    if (!(error instanceof TensorError)) throw error;
    return `output ${shown(name)} does not fit its shape`;
  }
}

/** How many are NaN or infinite. */
function oddNumbers(datatype: Datatype, data: Elements): number {
  const mask = datatype === 'FP16' ? 0x7c00 : datatype === 'BF16' ? 0x7f80 : 0;
  if (mask === 0 && datatype !== 'FP32' && datatype !== 'FP64') return 0;
  let odd = 0;
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number;
    // Halves are kept as their bits: all ones in the exponent.
    if (mask === 0 ? !Number.isFinite(value) : (value & mask) === mask) odd++;
  }
  return odd;
}

/** Names come from the model: cut, and fit for one line. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, MAX_NAME));
}
