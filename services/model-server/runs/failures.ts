/** What the caller of a job is told when its run fails. */

import { messageOf, RpcError, status } from '../rpc.js';
import type { Job } from './job.js';
import { unknownSequence } from './sequences.js';

/** INTERNAL with the model's name, unless the model has said what it is. */
export function toRpcError(job: Job, error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  return new RpcError(status.INTERNAL, `model '${job.runner.name}': inference failed: ${messageOf(error)}`);
}

/** The answer is there but cannot be made a message. */
export function unsendable(job: Job, error: unknown): RpcError {
  return new RpcError(
    status.INTERNAL,
    `model '${job.runner.name}': its answer cannot be sent: ${messageOf(error)}`,
  );
}

/** The deadline of the call has passed, and with it that of all requests of a stream. */
export class DeadlinePassed extends RpcError {
  /** @param job whether the model has begun with it. */
  constructor(job: 'begun' | 'not begun') {
    super(
      status.DEADLINE_EXCEEDED,
      job === 'begun'
        ? 'deadline exceeded between two answers of the model'
        : 'deadline exceeded before the model could run; it was not run',
    );
  }
}

/** The model is unloaded, and the caller of the stream has read none of its answers for so long. */
export function neverRead({ runner }: Job, forMs: number): RpcError {
  return new RpcError(
    status.UNAVAILABLE,
    `model '${runner.name}' is being unloaded, and no answer of this stream has been read for ${Math.round(forMs)} ms; the stream is ended`,
  );
}

/** The state that it builds on is not there: the first request of its sequence never ran, or the sequence gave way. Undefined: it is there. */
export function sequenceLost({ sequence, runner }: Job): RpcError | undefined {
  if (sequence === undefined || sequence.lostWhy === '') return undefined;
  return unknownSequence(runner.name, sequence.id, sequence.lostWhy);
}
