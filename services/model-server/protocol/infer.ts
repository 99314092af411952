/** ModelInfer. */

import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import type { UnaryHandler } from './call.js';
import { PreparedInfer } from './infer-job.js';
import type { Serving } from './serving.js';

/** Valid → queued → run, unless the caller has gone or its time is up → raw answer. */
export function modelInfer(serving: Serving): UnaryHandler<ModelInferRequest, ModelInferResponse> {
  return (request, call, reply) => {
    const prepared: PreparedInfer = new PreparedInfer(serving, request, call, {
      done: (error, answer) => {
        prepared.leave();
        if (call.cancelled) return;
        if (error !== undefined) reply(error);
        else reply(undefined, prepared.respond(answer));
      },
    });
    // While a compressed request was inflated, its caller may have gone.
    if (call.cancelled) {
      prepared.leave();
      return;
    }
    call.onCancelled(() => prepared.cancel());
    serving.queue.submit(prepared);
  };
}
