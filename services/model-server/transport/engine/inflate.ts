/** Message encodings that are taken: what `grpc-encoding` may name (gRPC over HTTP/2, "Message-Encoding"). */

import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { messageOf, RpcError, status } from '../../rpc.js';

/** The value of `grpc-accept-encoding`. */
export const ACCEPTED_ENCODINGS = 'identity,deflate,gzip';

const INFLATERS: Readonly<
  Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>
> = {
  gzip: promisify(gunzip),
  deflate: promisify(inflate),
};

/**
 * A compressed message as it was; rejects with an RpcError: UNIMPLEMENTED for another encoding, INTERNAL for what is not of
 * this encoding, or where none was named, RESOURCE_EXHAUSTED beyond `maxBytes`.
 */
export async function inflated(
  bytes: Buffer,
  encoding: string | undefined,
  maxBytes: number,
): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity')
    throw new RpcError(
      status.INTERNAL,
      `found a compressed message under grpc-encoding '${encoding ?? ''}', expected deflate or gzip`,
    );
  const inflater = Object.hasOwn(INFLATERS, encoding) ? INFLATERS[encoding]! : undefined;
  if (inflater === undefined)
    throw new RpcError(
      status.UNIMPLEMENTED,
      `Received message compressed with unsupported encoding "${encoding}"`,
    );
  try {
    return await inflater(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new RpcError(
        status.RESOURCE_EXHAUSTED,
        `Received message that decompresses to a size larger than ${maxBytes}`,
      );
    throw new RpcError(status.INTERNAL, `Failed to decompress message: ${messageOf(error)}`);
  }
}
