/** Loads an ONNX file of unknown origin: the runtime's words, and what they mean for its maker. */

import { ModelSession } from '../network/session.js';
import { messageOf } from '../rpc.js';

/** What the runtime says, and what to do about it. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/protobuf parsing failed|INVALID_PROTOBUF/i, 'it is not an ONNX file, or it is cut off'],
  [
    /Unsupported data type: 16\b|bfloat16/i,
    'it has BF16 inputs or outputs, for which JavaScript has no array; export it with FP16 or FP32',
  ],
  [
    /is not a registered function|Could not find an implementation|NOT_IMPLEMENTED|No Op registered/i,
    'it uses an operator that the installed ONNX Runtime does not have; export it for another opset or operator',
  ],
  [
    /is not a tensor/,
    'export it with tensors only (skl2onnx: options={"zipmap": False}, which gives the probabilities as a tensor)',
  ],
  [
    /external data|model_path must not be empty|No such file|data file/i,
    'its weights lie in another file; FILE.data or FILE_data beside it is taken along',
  ],
];

/** Rejects with an Error of one line: the file, what is wrong in plain words, and the runtime's. */
export async function loadForAuthoring(file: string, shown: string): Promise<ModelSession> {
  try {
    return await ModelSession.load(file);
  } catch (error) {
    // The runtime names the copy that it was given.
    const words = messageOf(error).replace(/^Load model from .* failed: ?/, '');
    const meaning = MEANINGS.find(([pattern]) => pattern.test(words))?.[1];
    throw new Error(`${shown}: ${meaning === undefined ? words : `${meaning} (${words})`}`);
  }
}
