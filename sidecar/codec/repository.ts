/**
 * The model repository extension of the Open Inference Protocol on the wire: RepositoryIndex, RepositoryModelLoad and
 * RepositoryModelUnload. Field numbers are those of proto/inference.proto.
 */

import { fieldsOf, MessageWriter } from './protobuf.js';

const SERVICE = '/inference.GRPCInferenceService';
export const REPOSITORY_INDEX = `${SERVICE}/RepositoryIndex`;
export const REPOSITORY_LOAD = `${SERVICE}/RepositoryModelLoad`;
export const REPOSITORY_UNLOAD = `${SERVICE}/RepositoryModelUnload`;

/** A RepositoryIndexRequest. */
export interface IndexRequest {
  /** Only models that are ready. */
  readonly ready: boolean;
}

/** @throws RangeError when the bytes are no message. */
export function decodeIndexRequest(bytes: Buffer): IndexRequest {
  let ready = false;
  for (const field of fieldsOf(bytes))
    if (field.number === 2 && field.type === 'varint') ready = field.value !== 0n;
  return { ready };
}

/** A RepositoryIndexRequest. */
export function writeIndexRequest({ ready }: IndexRequest): Buffer {
  return ready ? new MessageWriter().number(2, 1).finish() : Buffer.alloc(0);
}

/** A RepositoryModelLoadRequest, or one to unload, which has the same shape. */
export interface ModelRequest {
  readonly model: string;
  /** Names of its parameters. */
  readonly parameters: readonly string[];
}

/** @throws RangeError when the bytes are no message. */
export function decodeModelRequest(bytes: Buffer): ModelRequest {
  let model = '';
  const parameters: string[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.type !== 'bytes') continue;
    if (field.number === 2) model = field.value.toString('utf8');
    if (field.number !== 3) continue;
    for (const part of fieldsOf(field.value))
      if (part.number === 1 && part.type === 'bytes') parameters.push(part.value.toString('utf8'));
  }
  return { model, parameters };
}

/** One line of a RepositoryIndexResponse. */
export interface IndexedModel {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  readonly reason: string;
}

/** A RepositoryIndexResponse. */
export function encodeIndex(models: readonly IndexedModel[]): Buffer {
  const response = new MessageWriter();
  for (const { name, version, state, reason } of models)
    response.message(1, new MessageWriter().text(1, name).text(2, version).text(3, state).text(4, reason));
  return response.finish();
}

/** Lines of an index that are read. */
const MOST_INDEXED = 4_096;

/** @throws RangeError when the bytes are no message, or have more than 4,096 lines. */
export function decodeIndex(bytes: Buffer): IndexedModel[] {
  const models: IndexedModel[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number !== 1 || field.type !== 'bytes') continue;
    if (models.length >= MOST_INDEXED) throw new RangeError(`more than ${MOST_INDEXED} models`);
    const texts = ['', '', '', ''];
    for (const part of fieldsOf(field.value))
      if (part.type === 'bytes' && part.number >= 1 && part.number <= 4)
        texts[part.number - 1] = part.value.toString('utf8');
    const [name, version, state, reason] = texts as [string, string, string, string];
    models.push({ name, version, state, reason });
  }
  return models;
}
