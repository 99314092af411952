/** Header lists that are longer than the other end accepts: answers are cut, and requests are refused (RFC 9113 section 10.5.1). */

import { MetadataKey } from '../core/metadata-key.js';
import { cutMessage } from '../core/outcome/cut-message.js';
import { LocalReplyReasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import { headerViewOf } from '../http2/header-view.js';
import { MOST_STATUS_BYTES } from '../http2/hpack/decoder.js';
import { ENTRY_OVERHEAD, type HeaderField, makeField } from '../http2/hpack/field.js';
import { type HeaderBlock, listBytes, StableList } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import { NO_FIELDS, NO_OWNER, type Stream } from '../http2/stream.js';
import { replyContentType } from './content-type.js';
import type { Session } from './session.js';

/**
 * What a list that has to be cut is cut to, as a share of the limit. Some peers refuse part of what is shorter than the limit they
 * announce: gRPC's C core does so from a half of it on.
 */
const CUT_SHARE = 1 / 2;

const MESSAGE_OVERHEAD = 'grpc-message'.length + ENTRY_OVERHEAD;

/** A header list as the engine sends it. */
export interface FieldList {
  readonly list: StableList;
  readonly extras: readonly HeaderField[];
}

/**
 * The end of an answer, trailers or trailers-only, for a peer that accepts `maxBytes`. Beyond that `grpc-message` is cut; where that is
 * not enough, `grpc-status-details-bin` goes first, then what else the service added. The status always stays, once.
 */
export function fitTrailers({ list, extras }: FieldList, maxBytes: number): FieldList {
  if (listBytes(list, extras) <= maxBytes) return { list, extras };
  const room = Math.floor(maxBytes * CUT_SHARE);
  const fields = [...list.toFields(), ...extras];
  const message = fields.find(({ token }) => token === Token.grpcMessage);
  const others = fields.filter(({ token }) => token !== Token.grpcMessage);
  const candidates = [
    others,
    others.filter(({ token }) => token !== Token.grpcStatusDetailsBin),
    others.filter(isEssential),
  ];
  const kept = candidates.find((each) => sizeOf(each) <= room) ?? fitEssentials(candidates[2]!, room);
  const left = room - sizeOf(kept) - MESSAGE_OVERHEAD;
  const cut = message === undefined || left <= 0 ? '' : cutMessage(message.value, left);
  return { list: StableList.of(kept), extras: cut === '' ? NO_FIELDS : [makeField('grpc-message', cut)] };
}

function sizeOf(fields: readonly HeaderField[]): number {
  return fields.reduce((sum, { size }) => sum + size, 0);
}

/** Of each name the last field, which counts: the status, and of the others what fits beside it. */
function fitEssentials(fields: readonly HeaderField[], room: number): HeaderField[] {
  const all = [...new Map(fields.map((field) => [field.name, field])).values()];
  let left = room - sizeOf(all.filter(isStatus));
  return all.filter((field) => {
    if (isStatus(field)) return true;
    if (field.size > left) return false;
    left -= field.size;
    return true;
  });
}

/** One of HTTP or gRPC, as short as they are. */
function isStatus({ token, size }: HeaderField): boolean {
  return (token === Token.status || token === Token.grpcStatus) && size <= MOST_STATUS_BYTES;
}

/** What says how a call ended, and what a sidecar says of it. */
function isEssential({ token }: HeaderField): boolean {
  switch (token) {
    case Token.status:
    case Token.contentType:
    case Token.grpcStatus:
    case Token.grpcRetryPushbackMs:
    case Token.outrider:
      return true;
    default:
      return false;
  }
}

const REASON = LocalReplyReasons.metadataTooLarge;

const STATUS_200 = makeField(':status', '200');
const ENDS = [makeField('grpc-status', String(REASON.status)), makeField(MetadataKey.reason, REASON.name)];
const HTTP_REPLY = StableList.of([makeField(':status', '431'), makeField('content-type', 'text/plain')]);

/**
 * Answers a request whose header list is longer than this side announced, and says so: trailers-only, or HTTP 431 where what is left of
 * it speaks of something other than gRPC.
 */
export function refuseLongRequest({ connection }: Session, stream: Stream, block: HeaderBlock): void {
  const { maxListBytes, maxListFields, peer } = connection.state;
  stream.owner = NO_OWNER;
  const detail = `request headers of ${block.bytes} bytes in ${block.count} fields are over limits.max_header_bytes (${maxListBytes}) or limits.max_header_fields (${maxListFields})`;
  const { contentType, isGrpc } = headerViewOf(block);
  if (contentType !== '' && !isGrpc) {
    const body = Buffer.from(`${detail}\n`, 'latin1');
    connection.sendHeaders(stream, HTTP_REPLY, NO_FIELDS, false);
    return connection.sendData(stream, body, 0, body.length, true);
  }
  const message = makeField('grpc-message', reasonMessage(REASON, { detail }));
  const reply = StableList.of([STATUS_200, replyContentType(contentType), ...ENDS]);
  const { list, extras } = fitTrailers({ list: reply, extras: [message] }, peer.maxHeaderBytes);
  connection.sendHeaders(stream, list, extras, true);
}
