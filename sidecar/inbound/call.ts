import { QueueEntry } from '../core/admission/queue.js';
import { headerViewOf } from '../http2/header-view.js';
import { BufferState } from '../relay/buffer-admission.js';
import { RelayedCall } from '../relay/relayed-call.js';
import type { Match } from '../relay/route-table.js';
import type { Caller } from './caller.js';

/** A call's entry in the queue of its model. */
export class Ticket extends QueueEntry {
  constructor(readonly call: InboundCall) {
    super();
  }

  /** The caller's connection. */
  get holder(): object {
    return this.call.session;
  }
}

/** A call of a peer to a local model. */
export class InboundCall extends RelayedCall {
  /** Null until the call is authorized and its route known. */
  match: Match | null = null;
  /** Null for calls that are not queued: those refused before, and those about the server. */
  ticket: Ticket | null = null;
  /** Null: the peer has no identity. */
  caller: Caller | null = null;
  /** It has been offered to the queue. */
  isOffered = false;
  /** Index of its model among the backends; −1 until it is known. */
  backendIndex = 0;
  /** A health check that the sidecar may answer itself. */
  isHealthCheck = false;
  /** State of the request while it is buffered; see buffer-admission.ts. */
  bufferState: BufferState = BufferState.none;
  bufferLimit = 0;
  seenBytes = 0;
  idleLooks = 0;

  /** It has been queued or forwarded, or is over. */
  get isUnderWay(): boolean {
    return this.isOffered || this.attempt !== null || this.isFinished;
  }
}

const INFERENCE_SERVICE = '/inference.GRPCInferenceService/';

/** The inference protocol has methods about server and model beside the work; of other services every method is work. */
export function isInference(path: string): boolean {
  return !path.startsWith(INFERENCE_SERVICE) || path.endsWith('Infer');
}

/** Only the duration of a unary inference tells how busy the model is: a stream lasts as long as its caller likes. */
export function isUnaryInference({ plan, block }: InboundCall): boolean {
  return plan.holdsResponse && isInference(headerViewOf(block).path);
}
