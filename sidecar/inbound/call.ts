/** A call of a peer, and its place in the line before the model. */

import { QueueEntry } from '../core/admission/queue.js';
import { headerViewOf } from '../http2/header-view.js';
import { BufferState } from '../relay/buffer-admission.js';
import { RelayedCall } from '../relay/relayed-call.js';
import type { Match } from '../relay/route-table.js';
import type { Caller } from './authorization.js';

/** A call's place in the line. */
export class Ticket extends QueueEntry {
  constructor(readonly call: InboundCall) {
    super();
  }

  get holder(): object {
    return this.call.session;
  }
}

export class InboundCall extends RelayedCall {
  match!: Match;
  /** Null for calls that hold no place: those refused before, and those about the server. */
  ticket: Ticket | null = null;
  caller: Caller | null = null;
  isOffered = false;
  /** Which of the models it is for; −1: not known yet, or of no matter. */
  slot = -1;
  /** It asks how the model is. */
  asksHealth = false;
  /** While it is collected; see buffer-admission.ts. */
  bufferState: BufferState = BufferState.none;
  bufferLimit = 0;
  seenBytes = 0;
  idleLooks = 0;
}

const INFERENCE_SERVICE = '/inference.GRPCInferenceService/';

/** The inference protocol has questions about server and model beside the work; of other services all is work. */
export function isInference(path: string): boolean {
  return !path.startsWith(INFERENCE_SERVICE) || path.endsWith('Infer');
}

/** Only whole inferences of one answer tell how busy the model is: a stream lasts as long as it likes. */
export function isOneInference({ plan, block }: InboundCall): boolean {
  return plan.holdsResponse && isInference(headerViewOf(block).path);
}
