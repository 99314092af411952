/** Bodies of requests, and the memory that all of them may hold. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { RpcError, status } from '../../rpc.js';
import { onExchangeEnd } from './exchange-end.js';

/** A body is longer than one may be. */
export class BodyTooLong extends Error {}

/**
 * Reads bodies. What is held is counted from its arrival to the end of the response, as the tensors of a request lie where the
 * body does. A body for which no room is left is read on and thrown away, within the server's time for a request: a connection
 * that is closed while its peer still sends is reset, and takes the answer along (RFC 9112 section 9.6).
 */
export class Bodies {
  private held = 0;

  /** @param limits bytes of one body, and of all that are held. */
  constructor(private readonly limits: { readonly each: number; readonly all: number }) {}

  /** Bytes held now. */
  get heldBytes(): number {
    return this.held;
  }

  /**
   * The body of a request.
   *
   * @throws BodyTooLong; RpcError RESOURCE_EXHAUSTED where others hold what may be held; what ended the request before its body.
   */
  read(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
    let own = 0;
    let isOver = false;
    onExchangeEnd(response, () => {
      isOver = true;
      this.free(own);
      own = 0;
    });
    return new Promise((resolve, reject) => {
      let chunks: Buffer[] = [];
      let isRefused = false;
      const refuse = (error: Error) => {
        isRefused = true;
        chunks = [];
        this.free(own);
        own = 0;
        reject(error);
      };
      request.on('data', (chunk: Buffer) => {
        if (isRefused || isOver) return;
        own += chunk.length;
        this.held += chunk.length;
        if (own > this.limits.each)
          refuse(
            new BodyTooLong(`request: found more than ${this.limits.each} bytes, expected at most so many`),
          );
        else if (this.held > this.limits.all)
          refuse(
            new RpcError(
              status.RESOURCE_EXHAUSTED,
              `request: the requests of all callers hold the ${this.limits.all} bytes that they may`,
            ),
          );
        else chunks.push(chunk);
      });
      request.once('end', () => resolve(Buffer.concat(chunks)));
      request.once('error', refuse);
    });
  }

  private free(bytes: number): void {
    this.held -= bytes;
  }
}
