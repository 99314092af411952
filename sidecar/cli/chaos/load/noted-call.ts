import {
  type ClientUnaryCall,
  type Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import { MetadataKey } from '../../../core/metadata-key.js';
import type { CallRecord } from '../history/record.js';
import { REPLICA_KEY } from '../protocol/service.js';

/** A call that was made; what is not known yet is filled in at its end. */
export type OpenCall = { -readonly [Key in keyof CallRecord]: CallRecord[Key] };

/** What is said of a call before it is made. */
export type Noted = Pick<
  OpenCall,
  'id' | 'drill' | 'arm' | 'client' | 'model' | 'isFault' | 'startMs' | 'deadlineMs' | 'idempotent'
>;

/** The record of a call that has just begun. */
export function beginNote(about: Noted): OpenCall {
  const unknown = {
    endMs: Number.NaN,
    status: status.UNKNOWN,
    answer: 'none',
    degraded: false,
    answers: 0,
  } as const;
  return { ...about, ...unknown };
}

/** Whether the client has not been told the end of the call. */
export function isOpen({ answers }: Pick<CallRecord, 'answers'>): boolean {
  return answers === 0;
}

/** The client is told its end. A second one is counted, and changes nothing. */
export function noteEnd(call: OpenCall, error: Pick<ServiceError, 'code'> | null, nowMs: number): void {
  call.answers += 1;
  if (call.answers > 1) return;
  call.endMs = nowMs;
  call.status = error?.code ?? status.OK;
}

/** Notes what an arm says beside the answer. */
export function noteMetadata(call: OpenCall, made: Pick<ClientUnaryCall, 'on'>): void {
  made.on('metadata', (headers: Metadata) => {
    if (degradedIn(headers) !== undefined) call.degraded = true;
  });
  made.on('status', ({ metadata }: StatusObject) => {
    const reason = reasonIn(metadata);
    if (reason !== undefined) call.reason = reason;
    const [replica] = metadata.get(REPLICA_KEY);
    if (replica !== undefined) call.endpoint = String(replica);
  });
}

/** Why the answer is one of a sidecar; undefined: it is none. */
export function reasonIn(trailers: Metadata | undefined): string | undefined {
  return valueIn(trailers, MetadataKey.reason);
}

/** Why the answer is not quite what was asked for, and where it is from; undefined: it is. */
export function degradedIn(headers: Metadata): string | undefined {
  return valueIn(headers, MetadataKey.degraded);
}

function valueIn(metadata: Metadata | undefined, name: string): string | undefined {
  const [value] = metadata?.get(name) ?? [];
  return value === undefined ? undefined : String(value);
}
