/**
 * The copy of a call: a call of its own to the other upstream, whose caller is nobody. It is sent once, bounded in time,
 * and what comes back is taken and goes nowhere.
 */

import { makeField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Stream } from '../http2/stream.js';
import type { Attempt } from '../relay/attempt.js';
import type { Link } from '../relay/link.js';
import type { Pieces } from '../relay/pieces.js';
import type { Relay } from '../relay/relay.js';
import { type Match, matchForCopy } from '../relay/route-plan.js';
import type { CallTally } from '../relay/tally.js';
import { OutboundCall, type Witness } from './outbound-call.js';
import type { Shaped } from './shaping-target.js';

const MARK = makeField('outrider-mirrored', '1');

/** Where the copy goes. */
export interface MirrorPlace {
  readonly there: Shaped;
  readonly match: Match;
  readonly path: string;
}

/** The connection of a caller who is not there. */
const NOWHERE = {
  identity: null,
  connection: { sendHeaders() {}, sendData() {}, sendTrailers() {}, credit() {} },
} as unknown as Link;

const NOBODY = { onHeaders() {}, onData() {}, onTrailers() {}, onEnding() {}, onSent() {} };

/** What is wanted of the copy when it is over. */
export class CopyWitness implements Witness {
  private answer: Pieces | null = null;
  private isWhole = false;

  constructor(private readonly onEnd: (status: number, answer: Pieces | null, isWhole: boolean) => void) {}

  onRequest(): void {}

  onAttemptEnd(call: OutboundCall, attempt: Attempt): void {
    this.isWhole = !call.isCommitted && attempt.trailers !== null;
    this.answer = this.isWhole ? attempt.kept : null;
  }

  onFinish(_call: OutboundCall, status: number): void {
    this.onEnd(status, this.answer, this.isWhole);
  }
}

/** What nobody reads is taken all the same, so that it ends. */
export class CopyCall extends OutboundCall {
  readonly isCopy = true;

  constructor(
    relay: Relay,
    private readonly place: MirrorPlace,
    block: HeaderBlock,
    tally: CallTally,
    ended: boolean,
  ) {
    super(relay, place.there, NOWHERE, new Stream(NOBODY, 0, 0), block, ended);
    this.tally = tally;
    this.mark = MARK;
    this.plan = matchForCopy(place.match).plan;
  }

  /** All of its request is here. */
  run(): void {
    const { there, match, path } = this.place;
    there.take(this, matchForCopy(match), path);
    this.forgetReplay();
  }

  override commit(attempt: Attempt): void {
    const bytes = attempt.kept?.bytes ?? 0;
    super.commit(attempt);
    attempt.credit(bytes);
  }

  override passOn(buffer: Buffer, start: number, end: number): void {
    super.passOn(buffer, start, end);
    this.attempt?.credit(end - start);
  }
}
