import { MetadataKey } from '../../core/metadata-key.js';
import { makeField } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import { UNLIMITED } from '../../http2/settings.js';
import { NO_OWNER, Stream } from '../../http2/stream.js';
import type { Attempt } from '../../relay/attempt.js';
import { disableReplay } from '../../relay/request-buffer.js';
import { type Match, matchForCopy } from '../../relay/route-table.js';
import type { CallStats } from '../../telemetry/call-stats.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Session } from '../../transport/session.js';
import { type CallObserver, OutboundCall, type UpstreamHandler } from '../call.js';

const MARK = makeField(MetadataKey.mirrored, '1');

/** Where a copy goes. */
export interface MirrorTarget {
  readonly upstream: UpstreamHandler;
  readonly match: Match;
  readonly path: string;
}

function take(stream: Stream, _buffer: Buffer, start: number, end: number): void {
  stream.owner.onSent(stream, end - start);
}

/** Stands for the caller's connection: takes all that is sent, at once, so that the response ends. */
const NO_CALLER = {
  identity: null,
  cannotSend: () => false,
  connection: {
    peerHeaderBytes: UNLIMITED,
    isBehind: () => false,
    sendHeaders() {},
    sendData: take,
    passData: take,
    sendTrailers() {},
    credit() {},
    reset() {},
  },
  // It learns nothing for calls to come.
  memory: { recordLargeRequest() {} },
} as unknown as Session;

/** Reports the end of a copy: its status, and its response where that is whole. */
export class ShadowObserver implements CallObserver {
  private answer: ChunkList | null = null;
  private isWhole = false;

  constructor(private readonly onEnd: (status: number, answer: ChunkList | null, isWhole: boolean) => void) {}

  onRequest(): void {}

  /** Longer than what is compared. */
  onLongResponse(): void {}

  onAttemptEnd(call: OutboundCall, attempt: Attempt): void {
    this.isWhole = !call.isCommitted && attempt.trailers !== null;
    this.answer = this.isWhole ? attempt.heldResponse : null;
  }

  onFinish(_call: OutboundCall, status: number): void {
    this.onEnd(status, this.answer, this.isWhole);
  }
}

/**
 * The copy of a call: a call of its own to the other upstream, without a caller. It gets all of its request first, then
 * `sendShadow` runs it.
 */
export function makeShadow(
  context: DataPlaneContext,
  { upstream, match }: MirrorTarget,
  block: HeaderBlock,
  stats: CallStats,
  ended: boolean,
): OutboundCall {
  // No subclass: a second hidden class would slow down every call.
  const copy = new OutboundCall(context, upstream, NO_CALLER, new Stream(NO_OWNER, 0, 0), block, ended);
  copy.stats = stats;
  copy.marker = MARK;
  copy.plan = matchForCopy(match).plan;
  return copy;
}

/** Runs a copy that has all of its request: once, without retries. */
export function sendShadow(copy: OutboundCall, { upstream, match }: MirrorTarget): void {
  upstream.take(copy, matchForCopy(match));
  disableReplay(copy);
}
