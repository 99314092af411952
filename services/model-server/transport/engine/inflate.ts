/** Message encodings that are accepted: what `grpc-encoding` may name (gRPC over HTTP/2, "Message-Encoding"). */

import { createGunzip, createInflate, type Gunzip, type Inflate, type ZlibOptions } from 'node:zlib';
import { messageOf, RpcError, status } from '../../rpc.js';

/** The value of `grpc-accept-encoding`. */
export const ACCEPTED_ENCODINGS = 'identity,deflate,gzip';

/** Inflated bytes between two looks at the bounds. */
const STEP_BYTES = 64 * 1024;

const INFLATERS: Readonly<Record<string, (options: ZlibOptions) => Gunzip | Inflate>> = {
  gzip: createGunzip,
  deflate: createInflate,
};

/**
 * Called after each step with the bytes inflated so far, so that the memory budget knows of them while they come. False: the
 * call is over, and the rest is not inflated.
 */
export type InflateProgress = (bytes: number) => boolean;

/**
 * Inflates a message step by step; it never holds more than `maxBytes` and one step. Rejects with an RpcError: UNIMPLEMENTED
 * for another encoding, INTERNAL for bytes that are not of this encoding or where none was named, RESOURCE_EXHAUSTED beyond
 * `maxBytes`, CANCELLED where `progress` says so.
 */
export async function inflated(
  bytes: Buffer,
  encoding: string | undefined,
  maxBytes: number,
  progress: InflateProgress = () => true,
): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity')
    throw new RpcError(
      status.INTERNAL,
      `found a compressed message under grpc-encoding '${encoding ?? ''}', expected deflate or gzip`,
    );
  const create = Object.hasOwn(INFLATERS, encoding) ? INFLATERS[encoding]! : undefined;
  if (create === undefined)
    throw new RpcError(
      status.UNIMPLEMENTED,
      `Received message compressed with unsupported encoding "${encoding}"`,
    );
  return new Promise((resolve, reject) => {
    const inflater = create({ chunkSize: STEP_BYTES });
    let parts: Buffer[] = [];
    let total = 0;
    const refuse = (error: RpcError): void => {
      parts = [];
      inflater.destroy();
      reject(error);
    };
    inflater.on('data', (part: Buffer) => {
      total += part.length;
      if (total > maxBytes)
        return refuse(
          new RpcError(
            status.RESOURCE_EXHAUSTED,
            `Received message that decompresses to a size larger than ${maxBytes}`,
          ),
        );
      parts.push(part);
      if (!progress(total)) refuse(new RpcError(status.CANCELLED, 'the call is over'));
    });
    inflater.once('error', (error) =>
      refuse(new RpcError(status.INTERNAL, `Failed to decompress message: ${messageOf(error)}`)),
    );
    inflater.once('end', () => resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts, total)));
    inflater.end(bytes);
  });
}
