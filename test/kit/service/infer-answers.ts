/** Answers of ModelInfer as a server would send them, one message of gRPC each. */

import { protocols } from '../../../proto/load.js';
import type { InferTensor } from '../../../proto/messages.js';
import { grpcMessage } from '../http2/h2-frames.js';

/** Raw FP32 scores, in one row unless told otherwise. */
export function anAnswer(
  scores: readonly number[],
  { name = 'scores', shape = [1, scores.length] }: { readonly name?: string; readonly shape?: number[] } = {},
): Buffer {
  const raw = Float32Array.from(scores);
  return anAnswerOf([{ name, datatype: 'FP32', shape }], [new Uint8Array(raw.buffer)]);
}

export function anAnswerOf(outputs: InferTensor[], raw: Uint8Array[] = []): Buffer {
  const message = { model_name: 'digits', model_version: '1', id: '', outputs, raw_output_contents: raw };
  return grpcMessage(protocols().inference.ModelInfer.responseSerialize(message));
}
