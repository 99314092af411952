import type { InboundCall } from './call.js';

/** Looks on as a model answers its calls, while one of its versions is compared with another. Neither waits for it. */
export interface CallTap {
  /** The call is about to be forwarded; its request is whole where `requestEnded`. */
  onStart(call: InboundCall): void;
  /** The call is over; what `tee` of the call has kept of its answer is gone afterwards. */
  onEnd(call: InboundCall, status: number): void;
}
