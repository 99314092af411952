import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';

/** A response. `socket`: null while it waits behind another one on its connection. */
type Response = Writable & { readonly socket?: Socket | null };

/**
 * Until the client has read enough, or has gone away. One that has read too little by the end of `limit` is taken for gone: its connection ends.
 * @param limit begins when called, which is once the response has its turn on the connection
 */
export function drained(raw: Response, gone: AbortSignal, limit: () => AbortSignal): Promise<void> {
  if (gone.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    let late: AbortSignal | undefined;
    const end = (): void => {
      raw.off('drain', end);
      raw.off('socket', begin);
      gone.removeEventListener('abort', end);
      late?.removeEventListener('abort', giveUp);
      resolve();
    };
    const giveUp = (): void => {
      end();
      raw.destroy();
    };
    const begin = (): void => {
      late = limit();
      if (late.aborted) giveUp();
      else late.addEventListener('abort', giveUp);
    };
    raw.on('drain', end);
    gone.addEventListener('abort', end);
    if (raw.socket === null) raw.once('socket', begin);
    else begin();
  });
}
