import { PREFIX_BYTES } from '../codec/grpc-message.js';
import { readSequenceParameters } from '../codec/infer-parameter.js';
import { headerViewOf, metadataValue } from '../http2/header-view.js';
import {
  canInflate,
  INFLATION_FRAMES,
  inflatedPrefixes,
  MAX_INFLATED_BYTES,
} from '../relay/inflate-prefix.js';
import { MAX_SEARCHED_BYTES } from '../relay/named-model/model-name.js';
import { prefixOf } from '../relay/request-prefix.js';
import { type InboundCall, isInference } from './call.js';

/** The sequence that a call belongs to. */
export interface Sequence {
  readonly id: string;
  /** It is the last call of the sequence. */
  readonly isEnd: boolean;
}

/**
 * The sequence of a call, by the parameters `sequence_id` and `sequence_end` of its first message (Triton's sequence
 * extension), as far as that is here. Null: it belongs to none; 0 and an empty id mean the same.
 */
export function sequenceOf(call: InboundCall): Sequence | null {
  const { buffered } = call;
  if (buffered === null || buffered.bytes <= PREFIX_BYTES) return null;
  if (!isInference(headerViewOf(call.block).path)) return null;
  const head = prefixOf(buffered, PREFIX_BYTES + MAX_SEARCHED_BYTES);
  const body = head.subarray(PREFIX_BYTES);
  return head[0] === 0 ? readSequence(body) : readCompressed(call, head.readUInt32BE(1), body);
}

function readCompressed(call: InboundCall, length: number, body: Buffer): Sequence | null {
  const encoding = metadataValue(call.block, 'grpc-encoding') ?? 'identity';
  if (!canInflate(encoding)) return null;
  const part = body.subarray(0, Math.min(length, MAX_INFLATED_BYTES));
  for (const { bytes } of inflatedPrefixes(encoding, part, part.length === length)) {
    call.session.connection.charge(INFLATION_FRAMES);
    const found = readSequence(bytes);
    if (found !== null) return found;
  }
  return null;
}

/** Reads a ModelInferRequest, which may be cut off after its parameters. */
export function readSequence(message: Buffer): Sequence | null {
  const sequence = readSequenceParameters(message);
  return sequence.id === '' ? null : sequence;
}
