/**
 * Binary metadata of requests: fields whose names end in `-bin`, in base64 (gRPC over HTTP/2, "Binary-Header"). What is no base64 does not
 * get further than the first sidecar: grpc-go answers it as an error of its own, and older versions of gRPC's C core end the connection for
 * it, and with it the calls of others.
 */

import { MetadataKey } from '../core/metadata-key.js';
import { LocalReplyReasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import { headerViewOf, isBase64, isOddBinary } from '../http2/header-view.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import { HeaderBlock, StableList } from '../http2/hpack/header-list.js';
import { NO_OWNER, type Stream } from '../http2/stream.js';
import { replyContentType } from './content-type.js';
import type { Session } from './session.js';

const REASON = LocalReplyReasons.protocolError;
const STATUS_200 = makeField(':status', '200');
const ENDS = [makeField('grpc-status', String(REASON.status)), makeField(MetadataKey.reason, REASON.name)];
/** So much of the name is in the message. */
const NAME_CHARS = 100;

/** Whether binary metadata of a gRPC request is to be looked at closely: it is no base64, or has several values in one field. */
export function hasOddBinary(block: HeaderBlock): boolean {
  const { isGrpc, hasOddBinary: isStableOdd } = headerViewOf(block);
  if (!isGrpc || isStableOdd) return isGrpc;
  const { extras } = block;
  for (let at = 0; at < extras.length; at++) if (isOddBinary(extras[at]!)) return true;
  return false;
}

/**
 * The request with a field for each value: several may come in one, separated by commas, and not every implementation splits them. Null:
 * one is no base64, and the request has its answer.
 */
export function splitBinary(session: Session, stream: Stream, block: HeaderBlock): HeaderBlock | null {
  const { stable, extras, bytes, count, overLimit, misordered } = block;
  const repeated = stable.toFields();
  const split: HeaderField[] = [];
  for (const field of [...repeated.filter(({ info }) => info.isBinary), ...extras]) {
    const values = isOddBinary(field) ? field.value.split(',').map((value) => value.trim()) : null;
    if (values === null) split.push(field);
    else if (values.every(isBase64)) split.push(...values.map((value) => makeField(field.name, value)));
    else {
      refuse(session, stream, block, field.name);
      return null;
    }
  }
  const others = StableList.of(repeated.filter(({ info }) => !info.isBinary));
  return new HeaderBlock(others, split, bytes, count, overLimit, misordered);
}

function refuse({ connection }: Session, stream: Stream, block: HeaderBlock, name: string): void {
  stream.owner = NO_OWNER;
  const detail = `the metadata ${name.slice(0, NAME_CHARS)} is not base64`;
  const message = makeField('grpc-message', reasonMessage(REASON, { peer: 'the caller', detail }));
  const reply = StableList.of([STATUS_200, replyContentType(headerViewOf(block).contentType), ...ENDS]);
  connection.sendHeaders(stream, reply, [message], true);
}
