import {
  type ClientUnaryCall,
  type Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import { MetadataKey } from '../../../core/metadata-key.js';
import type { CallRecord, NotedCall } from '../history/record.js';
import { REPLICA_KEY } from '../protocol/service.js';

/** A record that is filled in until the call is over. */
export type Open<Call> = { -readonly [Key in keyof Call]: Call[Key] };

export type OpenCall = Open<CallRecord>;

/** What is known of a call that has just begun. */
export function beginNote<About extends Pick<NotedCall, 'startMs'>>(about: About) {
  return { ...about, endMs: Number.NaN, status: status.UNKNOWN as number, degraded: false, answers: 0 };
}

/** Whether the client has not been told the end of the call. */
export function isOpen({ answers }: Pick<NotedCall, 'answers'>): boolean {
  return answers === 0;
}

/** The client is told its end. A second one is counted, and changes nothing. */
export function noteEnd(
  call: Open<NotedCall>,
  error: Pick<ServiceError, 'code'> | null,
  nowMs: number,
): void {
  call.answers += 1;
  if (call.answers > 1) return;
  call.endMs = nowMs;
  call.status = error?.code ?? status.OK;
}

/** Notes what an arm says beside the answer. */
export function noteMetadata(call: Open<NotedCall>, made: Pick<ClientUnaryCall, 'on'>): void {
  made.on('metadata', (headers: Metadata) => {
    if (valueIn(headers, MetadataKey.degraded) !== undefined) call.degraded = true;
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

function valueIn(metadata: Metadata | undefined, name: string): string | undefined {
  const [value] = metadata?.get(name) ?? [];
  return value === undefined ? undefined : String(value);
}
