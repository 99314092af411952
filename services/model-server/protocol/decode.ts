import type { Method } from '../../../proto/load.js';
import { TensorError } from '../../../proto/tensors.js';
import { LimitError } from '../../../proto/wire.js';
import { invalidArgument, messageOf, RpcError, status } from '../rpc.js';

/** A request out of its bytes. Bytes that are no message are INVALID_ARGUMENT like any bad input. */
export function decodeRequest<Request>(
  method: Pick<Method<Request, unknown>, 'path' | 'requestDeserialize'>,
  bytes: Buffer,
): Request {
  try {
    return method.requestDeserialize(bytes);
  } catch (error) {
    if (error instanceof LimitError) throw invalidArgument(`request: ${error.message}`);
    throw invalidArgument(
      `request: found ${bytes.length} bytes that are no valid message, expected the one of ${method.path} (${messageOf(error)})`,
    );
  }
}

/** The status of what a handler threw. */
export function toRpcError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof TensorError) return invalidArgument(error.message);
  return new RpcError(status.INTERNAL, messageOf(error));
}
