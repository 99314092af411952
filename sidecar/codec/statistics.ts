/**
 * The statistics extension of the Open Inference Protocol on the wire: ModelStatistics. Field numbers are those of
 * proto/inference.proto. Counts have names, so that they can be added up: `inference_count`, `success.ns`,
 * `batch.8.compute_infer.count` and so on.
 */

import { type Field, fieldsOf, MessageWriter } from './protobuf.js';

export const MODEL_STATISTICS = '/inference.GRPCInferenceService/ModelStatistics';

/** What InferStatistics has, in the order of its fields. */
const INFER_PARTS = ['success', 'fail', 'queue', 'compute_input', 'compute_infer', 'compute_output'] as const;
/** What InferBatchStatistics has, from field 2 on. */
const BATCH_PARTS = ['compute_input', 'compute_infer', 'compute_output'] as const;

/** Counts and durations of one version of a model since its process was started. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** Epoch ms; 0: none yet. */
  readonly lastInferenceMs: number;
  readonly counts: ReadonlyMap<string, number>;
  /** Memory of the process in the CPU's memory; 0: it is told with another model of it. */
  readonly memoryBytes: number;
}

/** A ModelStatisticsRequest, which is asked for all models where `name` is empty. */
export interface StatisticsRequest {
  readonly name: string;
  readonly version: string;
}

/** @throws RangeError when the bytes are no message. */
export function decodeStatisticsRequest(bytes: Buffer): StatisticsRequest {
  return { name: textAt(bytes, 1), version: textAt(bytes, 2) };
}

/** The entries of a ModelStatisticsResponse. @throws RangeError when the bytes are no message. */
export function decodeStatistics(bytes: Buffer): ModelStatistics[] {
  const models: ModelStatistics[] = [];
  for (const field of fieldsOf(bytes))
    if (field.number === 1 && field.type === 'bytes') models.push(modelOf(field.value));
  return models;
}

/** One ModelStatistics. Fields that are not read here (cache hits, responses of streams) are stepped over. */
function modelOf(bytes: Buffer): ModelStatistics {
  const counts = new Map<string, number>();
  let lastInferenceMs = 0;
  let memoryBytes = 0;
  for (const field of fieldsOf(bytes)) {
    if (field.number === 3) lastInferenceMs = numberOf(field);
    else if (field.number === 4) counts.set('inference_count', numberOf(field));
    else if (field.number === 5) counts.set('execution_count', numberOf(field));
    else if (field.type !== 'bytes') continue;
    else if (field.number === 6) readParts(field.value, INFER_PARTS, { first: 1, prefix: '' }, counts);
    else if (field.number === 7) readBatch(field.value, counts);
    else if (field.number === 8 && textAt(field.value, 1) === 'CPU') memoryBytes += numberAt(field.value, 3);
  }
  return { name: textAt(bytes, 1), version: textAt(bytes, 2), lastInferenceMs, counts, memoryBytes };
}

/** One InferBatchStatistics: its size, and how often and how long it was run. */
function readBatch(bytes: Buffer, counts: Map<string, number>): void {
  const prefix = `batch.${numberAt(bytes, 1)}.`;
  readParts(bytes, BATCH_PARTS, { first: 2, prefix }, counts);
}

/** StatisticDurations, whose field numbers follow each other from `first` on. */
function readParts(
  bytes: Buffer,
  parts: readonly string[],
  { first, prefix }: { readonly first: number; readonly prefix: string },
  counts: Map<string, number>,
): void {
  for (const { number, ...field } of fieldsOf(bytes)) {
    const part = parts[number - first];
    if (part === undefined || field.type !== 'bytes') continue;
    counts.set(`${prefix}${part}.count`, numberAt(field.value, 1));
    counts.set(`${prefix}${part}.ns`, numberAt(field.value, 2));
  }
}

/** A ModelStatisticsResponse with these entries. */
export function encodeStatistics(models: readonly ModelStatistics[]): Buffer {
  const response = new MessageWriter();
  for (const { name, version, lastInferenceMs, counts, memoryBytes } of models) {
    const of = (key: string): number => counts.get(key) ?? 0;
    const message = new MessageWriter().text(1, name).text(2, version).number(3, lastInferenceMs);
    message.number(4, of('inference_count')).number(5, of('execution_count'));
    message.message(6, withParts(new MessageWriter(), INFER_PARTS, { first: 1, prefix: '' }, of));
    for (const size of batchSizes(counts)) {
      const batch = new MessageWriter().number(1, size);
      message.message(7, withParts(batch, BATCH_PARTS, { first: 2, prefix: `batch.${size}.` }, of));
    }
    if (memoryBytes > 0) message.message(8, new MessageWriter().text(1, 'CPU').number(3, memoryBytes));
    response.message(1, message);
  }
  return response.finish();
}

/** The same, written. */
function withParts(
  message: MessageWriter,
  parts: readonly string[],
  { first, prefix }: { readonly first: number; readonly prefix: string },
  of: (key: string) => number,
): MessageWriter {
  for (const [i, part] of parts.entries()) {
    const key = `${prefix}${part}`;
    message.message(first + i, new MessageWriter().number(1, of(`${key}.count`)).number(2, of(`${key}.ns`)));
  }
  return message;
}

/** The batch sizes that are counted, in order. */
export function batchSizes(counts: ReadonlyMap<string, number>): readonly number[] {
  const sizes = new Set<number>();
  for (const key of counts.keys()) if (key.startsWith('batch.')) sizes.add(Number(key.split('.')[1]));
  return [...sizes].sort((a, b) => a - b);
}

function textAt(bytes: Buffer, number: number): string {
  for (const field of fieldsOf(bytes))
    if (field.number === number && field.type === 'bytes') return field.value.toString('utf8');
  return '';
}

function numberAt(bytes: Buffer, number: number): number {
  for (const field of fieldsOf(bytes)) if (field.number === number) return numberOf(field);
  return 0;
}

function numberOf(field: Field): number {
  return field.type === 'varint' ? Number(field.value) : 0;
}
