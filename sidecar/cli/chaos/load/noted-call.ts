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

export function isOpen({ answers }: Pick<NotedCall, 'answers'>): boolean {
  return answers === 0;
}

/** Tells the end of a call: its error, or its answer. */
export type Done<Answer> = (error: ServiceError | null, answer?: Answer) => void;

/** How a call is made and what is noted of it. */
export interface CallToNote<Answer> {
  /** Ms, on the clock of the record. */
  now(): number;
  make(done: Done<Answer>): Pick<ClientUnaryCall, 'on'>;
  /** Judges the answer, or the failure, once the end is noted. */
  ended: Done<Answer>;
}

/** Makes a call, and notes its end and what an arm says beside the answer. A second end is counted, and changes nothing. */
export function noteCall<Answer>(call: Open<NotedCall>, { now, make, ended }: CallToNote<Answer>): void {
  const made = make((error, answer) => {
    call.answers += 1;
    if (call.answers > 1) return;
    call.endMs = now();
    call.status = error?.code ?? status.OK;
    ended(error, answer);
  });
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

/** A failure as text, such as `UNAVAILABLE no-endpoint`; `without a reason`: it came from elsewhere. */
export function failureText({ code, metadata }: Pick<StatusObject, 'code' | 'metadata'>): string {
  return `${status[code]} ${reasonIn(metadata) ?? 'without a reason'}`;
}

function valueIn(metadata: Metadata | undefined, name: string): string | undefined {
  const [value] = metadata?.get(name) ?? [];
  return value === undefined ? undefined : String(value);
}
