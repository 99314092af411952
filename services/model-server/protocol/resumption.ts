import { RpcError, status } from '../rpc.js';
import type { StreamCall } from './call.js';

/** Request metadata of a sidecar: the caller has so many answers of this stream. */
export const RESUME_AFTER_KEY = 'outrider-resume-after';
/** Response headers: the stream goes on after these. */
const RESUMED_FROM_KEY = 'outrider-resumed-from';

/**
 * A stream that goes on after answers which its caller got from another replica (`outrider-resume-after`). A model whose
 * card says `resumable` gives the same answers again: they are made, as each rests on those before it, and not sent.
 */
export class Resumption {
  private left = 0;
  private requests = 0;

  constructor(private readonly after: number) {}

  /**
   * A request of the stream begins. Of a model that is not resumable the stream begins anew, and the caller sees that by the
   * missing `outrider-resumed-from`. Throws for a second request: answers to several come in no certain order.
   */
  begin(call: StreamCall<unknown>, isResumable: boolean): void {
    if (!isResumable) return;
    this.requests++;
    if (this.requests > 1)
      throw new RpcError(
        status.FAILED_PRECONDITION,
        'a stream of several requests cannot be resumed, as their answers come in no certain order',
      );
    this.left = this.after;
    call.announce({ [RESUMED_FROM_KEY]: String(this.after) });
  }

  /** Answers that the caller has and that the model did not give again: it gave others, and the rest does not follow the first ones. */
  get missing(): number {
    return this.left;
  }

  /** Whether the next answer is one that the caller has. */
  skips(): boolean {
    if (this.left === 0) return false;
    this.left--;
    return true;
  }
}

/** @param header value of `outrider-resume-after`. Null: there is none, or no number of messages. */
export function resumptionOf(header: string | undefined): Resumption | null {
  if (header === undefined || !/^[1-9]\d{0,14}$/.test(header)) return null;
  return new Resumption(Number(header));
}
