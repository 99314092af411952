/**
 * Calls that came before discovery had said where to: kept, in number and in bytes bounded, until it does or their
 * time is up.
 */

import type { Call } from '../relay/call.js';
import { FIRST_WINDOW, type Memory } from '../transport/context.js';

/** Calls that may wait for one upstream. */
const MAX_CALLS = 1024;
/** Longest wait of a call whose deadline is later or that has none, ms. */
export const MAX_WAIT_MS = 15_000;

export class WaitingCalls<C extends Call> {
  private readonly calls = new Set<C>();

  constructor(private readonly memory: Memory) {}

  get size(): number {
    return this.calls.size;
  }

  /** False: there is no room. A caller may send one window before anybody takes it, so that much is reserved for it. */
  add(call: C): boolean {
    if (this.calls.has(call)) return true;
    if (this.calls.size >= MAX_CALLS || !this.memory.take(FIRST_WINDOW)) return false;
    this.calls.add(call);
    return true;
  }

  /** It waits no more. False: it did not wait. */
  delete(call: C): boolean {
    if (!this.calls.delete(call)) return false;
    this.memory.give(FIRST_WINDOW);
    return true;
  }

  /** All of them, in the order they came; none waits any more. */
  takeAll(): C[] {
    const all = [...this.calls];
    for (const call of all) this.delete(call);
    return all;
  }
}
