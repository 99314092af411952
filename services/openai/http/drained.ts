import type { Writable } from 'node:stream';

/** Until the client has read enough, or has gone away. How long that may take is up to `ReadLimit`, which ends its connection. */
export function drained(raw: Writable, gone: AbortSignal): Promise<void> {
  if (gone.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      raw.off('drain', end);
      gone.removeEventListener('abort', end);
      resolve();
    };
    raw.on('drain', end);
    gone.addEventListener('abort', end);
  });
}
