import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Until the client has read enough, or has gone away. One that has read too little by `late` is taken for gone: its connection ends. */
export async function drained(raw: Writable, gone: AbortSignal, late: AbortSignal): Promise<void> {
  if (gone.aborted) return;
  await once(raw, 'drain', { signal: AbortSignal.any([gone, late]) }).catch(() => undefined);
  if (late.aborted) raw.destroy();
}
