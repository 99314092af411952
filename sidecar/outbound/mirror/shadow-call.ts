/**
 * The copy of a call: a call of its own to the other upstream, whose caller is nobody. It is sent once, bounded in time,
 * and what comes back is taken and goes nowhere.
 */

import { makeField } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import { Stream } from '../../http2/stream.js';
import type { Attempt } from '../../relay/attempt.js';
import { disableReplay } from '../../relay/request-buffer.js';
import { type Match, matchForCopy } from '../../relay/route-table.js';
import type { CallStats } from '../../telemetry/call-stats.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Session } from '../../transport/session.js';
import { type CallObserver, OutboundCall, type UpstreamHandler } from '../call.js';

const MARK = makeField('outrider-mirrored', '1');

/** Where the copy goes. */
export interface MirrorTarget {
  readonly upstream: UpstreamHandler;
  readonly match: Match;
  readonly path: string;
}

/** The connection of a caller who is not there. What nobody reads is taken all the same, so that it ends. */
const NOWHERE = {
  identity: null,
  connection: {
    sendHeaders() {},
    sendData(stream: Stream, _buffer: Buffer, start: number, end: number) {
      stream.owner.onSent(stream, end - start);
    },
    sendTrailers() {},
    credit() {},
  },
} as unknown as Session;

const NOBODY = { onHeaders() {}, onData() {}, onTrailers() {}, onEnding() {}, onSent() {} };

/** What is wanted of the copy when it is over. */
export class ShadowObserver implements CallObserver {
  private answer: ChunkList | null = null;
  private isWhole = false;

  constructor(private readonly onEnd: (status: number, answer: ChunkList | null, isWhole: boolean) => void) {}

  onRequest(): void {}

  onAttemptEnd(call: OutboundCall, attempt: Attempt): void {
    this.isWhole = !call.isCommitted && attempt.trailers !== null;
    this.answer = this.isWhole ? attempt.heldResponse : null;
  }

  onFinish(_call: OutboundCall, status: number): void {
    this.onEnd(status, this.answer, this.isWhole);
  }
}

/** All of its request goes to it first, then `sendShadow` runs it. */
export function makeShadow(
  relay: DataPlaneContext,
  { upstream, match }: MirrorTarget,
  block: HeaderBlock,
  tally: CallStats,
  ended: boolean,
): OutboundCall {
  // No class of its own: all calls would be slower for what few of them are.
  const copy = new OutboundCall(relay, upstream, NOWHERE, new Stream(NOBODY, 0, 0), block, ended);
  copy.stats = tally;
  copy.marker = MARK;
  copy.plan = matchForCopy(match).plan;
  return copy;
}

export function sendShadow(copy: OutboundCall, { upstream, match }: MirrorTarget): void {
  upstream.take(copy, matchForCopy(match));
  disableReplay(copy);
}
