import { MODEL_INFER } from '../../codec/inference.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import { layoutOf } from './answer-layout.js';
import { type Inspection, inspectLayout } from './inspect.js';
import { predictLayoutOf } from './predict-layout.js';
import { inspectText } from './text-answer.js';

/**
 * Looks at one answer, given as it was sent. `seed`: where the sample of a large one falls. Undefined: it cannot be read. Never
 * throws.
 */
export type AnswerReader = (body: ChunkList, seed: number) => Inspection | undefined;

/**
 * Methods whose answers can be read, by their published definitions. Of every other method the form of the answers is not
 * known here, also where the service describes it: which of its fields hold results, no descriptor says.
 */
export const ANSWER_READERS: ReadonlyMap<string, AnswerReader> = new Map<string, AnswerReader>([
  [MODEL_INFER, (body, seed) => inspectLayout(layoutOf(body), seed)],
  [
    '/tensorflow.serving.PredictionService/Predict',
    (body, seed) => inspectLayout(predictLayoutOf(body), seed),
  ],
  ['/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions', inspectText],
]);
