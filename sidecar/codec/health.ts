/**
 * grpc.health.v1 on the wire: a question for one service, and the answer to it. The message has one field either way
 * (proto/health.proto).
 */

import { framed, unframed } from './grpc-message.js';
import { type Field, fieldsOf, MessageWriter } from './protobuf.js';

export const HEALTH_CHECK = '/grpc.health.v1.Health/Check';
export const HEALTH_WATCH = '/grpc.health.v1.Health/Watch';

/** HealthCheckResponse.ServingStatus. */
export const Serving = { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;

const NAMES = Object.keys(Serving);

/** A question with its gRPC prefix. @param service empty: the server as a whole. */
export function healthQuestion(service: string): Buffer {
  return framed(writeHealthQuestion(service));
}

/** The same without the prefix. */
export function writeHealthQuestion(service: string): Buffer {
  return new MessageWriter().text(1, service).finish();
}

/** An answer with its gRPC prefix. */
export function healthAnswer(isServing: boolean): Buffer {
  return healthStatus(isServing ? Serving.SERVING : Serving.NOT_SERVING);
}

/** The same with any status. @param status one of `Serving`, or a number beyond. */
export function healthStatus(status: number): Buffer {
  return framed(new MessageWriter().number(1, status).finish());
}

/** The service that is asked for; undefined when the bytes are not one plain question. */
export function readHealthQuestion(bytes: Buffer): string | undefined {
  return firstField(bytes, '', (field) =>
    field.type === 'bytes' ? field.value.toString('utf8') : undefined,
  );
}

/** The status that is answered, one of `Serving` or a number beyond; undefined when the bytes are not one plain answer. */
export function readHealthAnswer(bytes: Buffer): number | undefined {
  return firstField(bytes, 0, (field) => (field.type === 'varint' ? Number(field.value) : undefined));
}

/** Field 1 of the one message in `bytes`, `absent` where it has none; undefined when the bytes are no such message. */
function firstField<T>(bytes: Buffer, absent: T, read: (field: Field) => T | undefined): T | undefined {
  const message = unframed(bytes);
  if (message === undefined) return undefined;
  let value = absent;
  try {
    for (const field of fieldsOf(message)) if (field.number === 1) value = read(field) ?? value;
  } catch {
    return undefined;
  }
  return value;
}

/** The name of a ServingStatus for messages; of a number without one, `status N`. */
export function servingName(status: number): string {
  return NAMES[status] ?? `status ${status}`;
}
