import { MAX_CALL_CLASSES, SPAN_MS } from './latency.js';

/** Model of a call that names none, or whose model cannot be read. */
export const NO_MODEL = new Uint8Array(0);

/** Size classes of requests: 0 to 3 bytes, 4 to 15, … 64 MiB and more. */
const SIZES = 14;
/** After this time nothing recorded under a class counts any more. */
const FORGOTTEN_MS = 2 * SPAN_MS;

class CallClass {
  constructor(
    readonly method: string,
    readonly model: Uint8Array,
    readonly size: number,
    public lastMs: number,
  ) {}

  is(method: string, model: Uint8Array, length: number, size: number): boolean {
    const own = this.model;
    // The most selective tests first; names of models often share a prefix, so compared from the end.
    if (size !== this.size || length !== own.length || method !== this.method) return false;
    for (let i = length - 1; i >= 0; i -= 1) if (own[i] !== model[i]) return false;
    return true;
  }
}

/**
 * Classes of calls whose latencies can be compared: the same method, the same version of the same model, requests of
 * similar size. Numbered from 0 as they appear, up to `MAX_CALL_CLASSES`; a number is reused when every latency recorded
 * under it has been forgotten.
 */
export class CallClasses {
  private readonly classes: CallClass[] = [];
  private readonly generations = new Uint32Array(MAX_CALL_CLASSES);

  /**
   * The number of a call's class, whose latency is recorded now; −1: all numbers are in use.
   * @param model name of the model in the request, in its first `length` bytes; copied when it is new.
   * @param bytes length of the request.
   */
  indexOf(method: string, model: Uint8Array, length: number, bytes: number, nowMs: number): number {
    const { classes } = this;
    const size = sizeOf(bytes);
    for (let i = 0; i < classes.length; i += 1) {
      const each = classes[i]!;
      if (!each.is(method, model, length, size)) continue;
      each.lastMs = nowMs;
      return i;
    }
    const free = this.freeIndex(nowMs);
    if (free >= 0) {
      // `slice` of a Buffer would not copy.
      this.generations[free]! += 1;
      classes[free] = new CallClass(method, Uint8Array.from(model.subarray(0, length)), size, nowMs);
    }
    return free;
  }

  /** How often this number has been given to a class: with another one it stands for another class. */
  generationOf(index: number): number {
    return this.generations[index]!;
  }

  /** A shared class for the rest would mix calls of different kinds: they are not compared at all. */
  private freeIndex(nowMs: number): number {
    const { classes } = this;
    if (classes.length < MAX_CALL_CLASSES) return classes.length;
    return classes.findIndex(({ lastMs }) => nowMs - lastMs >= FORGOTTEN_MS);
  }
}

/** Size class of a request of so many bytes, by powers of 4. */
export function sizeOf(bytes: number): number {
  return bytes < 4 ? 0 : Math.min((31 - Math.clz32(Math.min(bytes, 0x7fff_ffff))) >> 1, SIZES - 1);
}
