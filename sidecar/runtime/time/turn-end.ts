/**
 * Runs a function after all input of this turn of the event loop has been read (libuv's check
 * phase).
 */
export function deferToTurnEnd(fn: () => void): void {
  setImmediate(fn);
}
