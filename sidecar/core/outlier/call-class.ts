/**
 * Which calls are alike, so that the times of one say something about another: those of the same method, to the same
 * version of the same model, with a request of similar size. Kinds are numbered from 0 as they turn up; there are few
 * numbers, and one is given away again when every time that was recorded under it has been forgotten.
 */
import { KINDS, SPAN_MS } from './latency.js';

/** Of a call that names no model, or none that can be told. */
export const NO_MODEL = new Uint8Array(0);

/** Sizes of requests: 0 to 3 octets, 4 to 15, … 64 MiB and more. */
const SIZES = 14;
/** By then nothing that was recorded counts any more. */
const FORGOTTEN_MS = 2 * SPAN_MS;

class CallKind {
  constructor(
    readonly method: string,
    readonly model: Uint8Array,
    readonly size: number,
    public lastMs: number,
  ) {}

  is(method: string, model: Uint8Array, length: number, size: number): boolean {
    const mine = this.model;
    // What differs most often first; the names of models often begin alike.
    if (size !== this.size || length !== mine.length || method !== this.method) return false;
    for (let i = length - 1; i >= 0; i -= 1) if (mine[i] !== model[i]) return false;
    return true;
  }
}

export class CallClasses {
  private readonly kinds: CallKind[] = [];

  /**
   * The number of a call's kind, whose time is recorded now; −1: there are too many kinds at once for this one, too.
   * @param model what the request names, in its first `length` octets; it is copied when it is new.
   * @param bytes of the request.
   */
  numberOf(method: string, model: Uint8Array, length: number, bytes: number, nowMs: number): number {
    const { kinds } = this;
    const size = sizeOf(bytes);
    for (let i = 0; i < kinds.length; i += 1) {
      const kind = kinds[i]!;
      if (!kind.is(method, model, length, size)) continue;
      kind.lastMs = nowMs;
      return i;
    }
    const number = this.freeNumber(nowMs);
    if (number >= 0) {
      // Of a Buffer, `slice` would copy nothing.
      kinds[number] = new CallKind(method, Uint8Array.from(model.subarray(0, length)), size, nowMs);
    }
    return number;
  }

  /** Nobody is compared by what has no number: calls of different kinds would be mixed there. */
  private freeNumber(nowMs: number): number {
    const { kinds } = this;
    if (kinds.length < KINDS) return kinds.length;
    for (let i = 0; i < KINDS; i += 1) if (nowMs - kinds[i]!.lastMs >= FORGOTTEN_MS) return i;
    return -1;
  }
}

/** Powers of 4. */
export function sizeOf(bytes: number): number {
  return bytes < 4 ? 0 : Math.min((31 - Math.clz32(Math.min(bytes, 0x7fff_ffff))) >> 1, SIZES - 1);
}
