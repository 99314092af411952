/**
 * Answers of our own, as gRPC wants them: trailers-only (or trailers, when an answer had begun), with the right code,
 * a message and `outrider-reason` (gRPC over HTTP/2, "Responses").
 */

import { MetadataKey } from '../core/metadata-key.js';
import type { LocalReplyReason } from '../core/outcome/local-reply-reason.js';
import { LocalReplyReasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import { StableList } from '../http2/hpack/header-list.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import { replyContentType } from '../transport/content-type.js';
import type { Attempt } from './attempt.js';
import type { Call } from './call.js';

const STATUS_200 = makeField(':status', '200');
const UNPROCESSED = makeField(MetadataKey.unprocessed, 'true');

interface Lists {
  /** The last ones made, and for which content type. */
  contentType: string;
  headers: StableList;
  readonly trailers: StableList;
}

const lists = new Map<LocalReplyReason, Lists>();

function listsFor(reason: LocalReplyReason): Lists {
  const known = lists.get(reason);
  if (known !== undefined) return known;
  const fields = [
    makeField('grpc-status', String(reason.status)),
    makeField(MetadataKey.reason, reason.name),
  ];
  const trailers = StableList.of(fields);
  const made: Lists = { contentType: '', headers: headersOf('', trailers, reason), trailers };
  lists.set(reason, made);
  return made;
}

function headersOf(
  contentType: string,
  trailers: StableList,
  { isUnprocessed }: LocalReplyReason,
): StableList {
  const fields = [STATUS_200, replyContentType(contentType), ...trailers.toFields()];
  return StableList.of(isUnprocessed ? [...fields, UNPROCESSED] : fields);
}

/**
 * The headers of a trailers-only reply (gRPC over HTTP/2, "Responses") to a request of this content type, empty: the usual one. Made
 * once per reason for as long as requests have the same.
 */
export function replyHeaders(reason: LocalReplyReason, contentType: string): StableList {
  const known = listsFor(reason);
  if (known.contentType !== contentType) {
    known.headers = headersOf(contentType, known.trailers, reason);
    known.contentType = contentType;
  }
  return known.headers;
}

/** The trailers of a reply whose response had begun, made once per reason. They are never marked as unprocessed. */
export function replyTrailers(reason: LocalReplyReason): StableList {
  return listsFor(reason).trailers;
}

/** `grpc-message`, percent-encoded (gRPC over HTTP/2): printable ASCII but `%` stays. */
export function messageField(message: string): HeaderField {
  return makeField('grpc-message', percentEncode(message));
}

/** gRFC A6: the call is not to be tried again. */
export const NO_RETRY: HeaderField = makeField('grpc-retry-pushback-ms', '-1');

/** `outrider-degraded`: why a response is not quite what was asked for, and where it comes from. */
export function degradedField(how: string): HeaderField {
  return makeField(MetadataKey.degraded, how);
}

function percentEncode(message: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(message) && message.trim() === message) return message;
  let out = '';
  for (const byte of Buffer.from(message, 'utf8')) {
    const isPlain = byte > 0x20 && byte <= 0x7e && byte !== 0x25;
    out += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** The sidecar's own answer to a call, ready to be sent; what refuses a call returns one. */
export interface LocalReply {
  readonly reason: LocalReplyReason;
  /** `grpc-message`, not encoded yet. */
  readonly message: string;
  /** One more field of the trailers, such as `grpc-retry-pushback-ms`; null: none. */
  readonly metadata: HeaderField | null;
}

/** A reply whose message is the template of its reason, filled with `values`. */
export function makeLocalReply(
  reason: LocalReplyReason,
  values: Readonly<Record<string, string | number>> = {},
  metadata: HeaderField | null = null,
): LocalReply {
  return { reason, message: reasonMessage(reason, values), metadata };
}

/** The reply to a call whose deadline has passed. */
export function deadlineReply({ startMs, deadlineMs }: Call): LocalReply {
  const limitMs = Math.round(deadlineMs - startMs);
  return makeLocalReply(LocalReplyReasons.deadlineExceeded, {
    limitMs: Number.isFinite(limitMs) ? limitMs : 0,
  });
}

/** The reply to a stream on which nothing has moved for its idle timeout. */
export function idleReply({ plan }: Call): LocalReply {
  return makeLocalReply(LocalReplyReasons.idleTimeout, { limitMs: plan.idleTimeoutMs });
}

/** The reply for an attempt without a response of the endpoint. `limitMs`: the attempt timeout in force, for the message. */
export function localReplyFor(attempt: Attempt, endpoint: string, limitMs: number): LocalReply {
  const detail = attempt.reason;
  const text = (reason: LocalReplyReason, values: Record<string, string | number>): LocalReply =>
    makeLocalReply(reason, { endpoint, peer: endpoint, ...values });
  switch (attempt.ended) {
    case AttemptEnd.connectError:
    case AttemptEnd.unconnected:
      return text(LocalReplyReasons.connectFailed, { detail });
    case AttemptEnd.connectionLost:
    case AttemptEnd.goawayUnprocessed:
      return text(LocalReplyReasons.connectionLost, { detail });
    case AttemptEnd.refusedStream:
      return text(LocalReplyReasons.upstreamReset, { detail: 'REFUSED_STREAM' });
    case AttemptEnd.reset:
      return text(withStatus(LocalReplyReasons.upstreamReset, attempt.status), { detail });
    case AttemptEnd.attemptTimeout:
      return text(LocalReplyReasons.attemptTimeout, { limitMs });
    case AttemptEnd.trailers:
      return text(withStatus(LocalReplyReasons.protocolError, attempt.status), { detail });
    case AttemptEnd.headersTooLong:
      return text(withStatus(LocalReplyReasons.metadataTooLarge, attempt.status), {
        detail: `${endpoint}: ${detail}`,
      });
    case AttemptEnd.missingTrailers:
      return text(LocalReplyReasons.protocolError, { detail: 'the response ended without a grpc-status' });
    case AttemptEnd.protocolError:
      return text(LocalReplyReasons.protocolError, { detail: detail === '' ? 'invalid HTTP/2' : detail });
    default:
      return text(LocalReplyReasons.internal, {});
  }
}

/** The same reply to a call of which something may have been processed, whatever its reason says of others. */
export function withoutMark(reply: LocalReply): LocalReply {
  const { reason } = reply;
  if (!reason.isUnprocessed) return reply;
  const unmarked = getOrInsert(unmarkedReasons, reason, () => ({ ...reason, isUnprocessed: false }));
  return { ...reply, reason: unmarked };
}

const unmarkedReasons = new Map<LocalReplyReason, LocalReplyReason>();
const variants = new Map<string, LocalReplyReason>();

/** The same reason with the status that the peer's own code maps to. At most 17 of each. */
function withStatus(reason: LocalReplyReason, status: number): LocalReplyReason {
  const code = status > 0 && status <= 16 ? status : Status.UNKNOWN;
  if (code === reason.status) return reason;
  const key = `${reason.name} ${code}`;
  return getOrInsert(variants, key, () => ({ ...reason, status: code as Status }));
}
