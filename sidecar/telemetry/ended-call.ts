/** What the record of an ended call says, in the words of the access log and of spans. */

import { MetadataKey } from '../core/metadata-key.js';
import { AttemptEnd, Outcome } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { headerViewOf, metadataValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { EndedAttempt, EndedCall } from './call-record.js';

/** What peers may choose freely is cut to this length, in characters. */
export const MAX_TEXT = 200;
const REASON = /^[a-z][a-z-]{0,39}$/;

const ENDED_NAMES = Object.keys(AttemptEnd).map((name) =>
  name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
);

/** How an attempt ended; `unfinished`: with its call; `message-timeout`: it was left as no message came. */
export function endedName({ ended, isSilent }: Pick<EndedAttempt, 'ended' | 'isSilent'>): string {
  if (isSilent) return 'message-timeout';
  return ended < 0 ? 'unfinished' : ENDED_NAMES[ended]!;
}

/** The caller got what it asked for: OK, or a status that its route declares a success, and no answer of a fallback. */
export function isPlainSuccess(call: EndedCall, status: number): boolean {
  return call.degraded === '' && (status === Status.OK || isDeclaredSuccess(call, status));
}

/**
 * Whether an attempt failed, whatever the call came to: it was retried, or is a stream that continued elsewhere. Those that a hedge overtook did
 * not fail.
 */
export function isRetried({ lastAttempt }: EndedCall): boolean {
  if (lastAttempt === null) return false;
  for (let attempt = lastAttempt.previous; attempt !== null; attempt = attempt.previous)
    if (attempt.ended !== AttemptEnd.superseded && attempt.outcome !== Outcome.success) return true;
  return false;
}

/** Its route declares this status of the service a success. */
function isDeclaredSuccess(call: EndedCall, status: number): boolean {
  if (call.reason !== '') return false;
  for (let attempt = call.lastAttempt; attempt !== null; attempt = attempt.previous)
    if (attempt.outcome === Outcome.success && attempt.status === status) return true;
  return false;
}

/** The reason of this sidecar's local reply, else that of the sidecar which answered. */
export function reasonOf(call: EndedCall): string | undefined {
  if (call.reason !== '') return call.reason;
  return call.plan.stripsResponse || call.lastAttempt === null ? undefined : peerReason(call.lastAttempt);
}

/** The reason that the sidecar at the endpoint gave for its answer. Metadata from outside the mesh is not to be asked. */
export function peerReason({ status, trailers }: EndedAttempt): string | undefined {
  if (status === Status.OK || trailers === null) return undefined;
  return REASON.exec(metadataValue(trailers, MetadataKey.reason) ?? '')?.[0];
}

/** The service that the caller proved to be; undefined: it has no identity. */
export function identityOf({ session }: EndedCall): string | undefined {
  return (session.identity as { readonly service?: string } | null)?.service;
}

/** `/package.Service/Method`, without what would follow a `?`, which is no part of a method. */
export function methodOf(block: HeaderBlock): string {
  return headerViewOf(block).path.split('?', 1)[0]!.slice(0, MAX_TEXT);
}
