/**
 * Answers of our own, as gRPC wants them: trailers-only (or trailers, when an answer had begun), with the right code,
 * a message and `outrider-reason`. What is no gRPC request gets 415 and a sentence (gRPC over HTTP/2, "Responses").
 */

import type { Reason } from '../core/outcome/local-reply-reason.js';
import { type Field, makeField } from '../http2/hpack/field.js';
import { StableList } from '../http2/hpack/header-list.js';

const STATUS_200 = makeField(':status', '200');
const GRPC = makeField('content-type', 'application/grpc');
const UNPROCESSED = makeField('outrider-unprocessed', 'true');

interface Lists {
  readonly headers: StableList;
  readonly trailers: StableList;
}

const lists = new Map<Reason, Lists>();

function listsOf(answer: Reason): Lists {
  const known = lists.get(answer);
  if (known !== undefined) return known;
  const fields = [makeField('grpc-status', String(answer.status)), makeField('outrider-reason', answer.name)];
  if (answer.isUnprocessed) fields.push(UNPROCESSED);
  const made = { headers: listOf([STATUS_200, GRPC, ...fields]), trailers: listOf(fields) };
  lists.set(answer, made);
  return made;
}

function listOf(fields: readonly Field[]): StableList {
  let list = StableList.root();
  for (const field of fields) list = list.with(field);
  return list;
}

export function answerHeaders(answer: Reason): StableList {
  return listsOf(answer).headers;
}

export function answerTrailers(answer: Reason): StableList {
  return listsOf(answer).trailers;
}

/** `grpc-message`, percent-encoded (gRPC over HTTP/2): printable ASCII but `%` stays. */
export function messageField(message: string): Field {
  return makeField('grpc-message', percentEncode(message));
}

/** Why an answer is not quite what was asked for, and where it comes from. */
export function degradedField(how: string): Field {
  return makeField('outrider-degraded', how);
}

function percentEncode(message: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(message) && message.trim() === message) return message;
  let out = '';
  for (const octet of Buffer.from(message, 'utf8')) {
    const isPlain = octet > 0x20 && octet <= 0x7e && octet !== 0x25;
    out += isPlain ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** For requests that are not gRPC: status 415 and a sentence. */
export const NOT_GRPC_HEADERS: StableList = listOf([
  makeField(':status', '415'),
  makeField('content-type', 'text/plain'),
]);
export const NOT_GRPC_BODY = Buffer.from(
  'This port speaks gRPC: POST with content-type application/grpc.\n',
  'latin1',
);
