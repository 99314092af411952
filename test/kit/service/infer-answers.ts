/** Answers of inference as servers would send them, one message of gRPC each: of ModelInfer, TensorFlow Serving and TorchServe. */

import { protocols } from '../../../proto/load.js';
import type { InferTensor } from '../../../proto/messages.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
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

/** A `TensorProto`. `type`: 1 for floats, which is the default, 2 for doubles. `isContent`: as raw bytes. */
export function aTensor(
  values: readonly number[],
  {
    type = 1,
    shape = [1, values.length],
    isContent = false,
  }: { readonly type?: 1 | 2; readonly shape?: number[]; readonly isContent?: boolean } = {},
): MessageWriter {
  const { buffer } = type === 1 ? Float32Array.from(values) : Float64Array.from(values);
  const sizes = new MessageWriter();
  for (const size of shape) sizes.message(2, new MessageWriter().number(1, size));
  const field = isContent ? 4 : 4 + type;
  return new MessageWriter().number(1, type).message(2, sizes).bytes(field, new Uint8Array(buffer));
}

/** A `PredictResponse` of TensorFlow Serving. */
export function aPredictAnswer(tensors: Readonly<Record<string, MessageWriter>>): Buffer {
  const answer = new MessageWriter();
  for (const [name, tensor] of Object.entries(tensors))
    answer.message(1, new MessageWriter().text(1, name).message(2, tensor));
  const version = new MessageWriter().number(1, 3);
  const spec = new MessageWriter().text(1, 'digits').message(2, version).text(3, 'serving_default');
  return grpcMessage(answer.message(2, spec).finish());
}

/** A `PredictionResponse` of TorchServe. */
export function aTextAnswer(text: string): Buffer {
  return grpcMessage(new MessageWriter().bytes(1, Buffer.from(text)).finish());
}
