/** One answer of ModelInfer, looked at for what no answer may be: numbers that are none, tensors that do not fit their shape. */

import type { Datatype, Elements } from '../../../proto/datatypes.js';
import type { InferTensor } from '../../../proto/messages.js';
import { TensorError } from '../../../proto/tensors.js';
import { decodeInferResponse, type InferAnswer } from '../../codec/inference.js';
import { fieldsOf } from '../../codec/protobuf.js';
import type { InspectedResponse } from '../../core/outlier/invalid-output.js';
import { cut, messageIn, outputOf, shown } from './infer-output.js';

/** @param body as it was sent: one message of gRPC. Undefined: compressed, or no such message. Never throws. */
export function inspectAnswer(body: Buffer): InspectedResponse | undefined {
  const message = messageIn(body);
  if (message === undefined) return undefined;
  try {
    const answer = decodeInferResponse(message);
    const flaws = answer.outputs.map((output, i) => flawOf(output, answer, i));
    return {
      model: modelIn(message),
      shape: answer.outputs.map(formOf).sort().join(', '),
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
  return JSON.stringify([cut(name), cut(version)]);
}

/** The first dimension is the batch's, and as long as the request asks. */
function formOf({ name, datatype, shape }: InferTensor): string {
  return `${shown(name)} ${cut(datatype)}[${shape.slice(1).join('×')}]`;
}

function flawOf(output: InferTensor, answer: InferAnswer, i: number): string {
  try {
    const { datatype, data } = outputOf(output, answer, i);
    const odd = oddNumbers(datatype, data);
    return odd === 0
      ? ''
      : `output ${shown(output.name)}: ${odd} of ${data.length} numbers are NaN or infinite`;
  } catch (error) {
    if (!(error instanceof TensorError)) throw error;
    return `output ${shown(output.name)} ${error.message}`;
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
