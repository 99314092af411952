/**
 * The baseline: how probable a byte is after the one, or the two, before it, as counted in the training text. Counts of a
 * longer context are mixed with those of the shorter one after Witten and Bell (1991), which has nothing to tune.
 */

const BYTES = 256;

/** Counts of one length of context. */
class Counts {
  private readonly times = new Map<number, number>();
  private readonly totals = new Map<number, number>();
  private readonly kinds = new Map<number, number>();

  add(context: number, byte: number): void {
    const key = context * BYTES + byte;
    const before = this.times.get(key) ?? 0;
    this.times.set(key, before + 1);
    this.totals.set(context, (this.totals.get(context) ?? 0) + 1);
    if (before === 0) this.kinds.set(context, (this.kinds.get(context) ?? 0) + 1);
  }

  /** @param shorter the probability after the context that is one byte shorter. */
  probability(context: number, byte: number, shorter: number): number {
    const total = this.totals.get(context) ?? 0;
    const kinds = this.kinds.get(context) ?? 0;
    if (total === 0) return shorter;
    return ((this.times.get(context * BYTES + byte) ?? 0) + kinds * shorter) / (total + kinds);
  }
}

/** Bits for a byte of `text` with contexts of `length` bytes (0 to 4), after learning `training`. */
export function bitsPerByteOfNgrams(training: Uint8Array, text: Uint8Array, length: number): number {
  const counts = Array.from({ length: length + 1 }, () => new Counts());
  for (let i = 0; i < training.length; i++)
    counts.forEach((count, n) => {
      if (i >= n) count.add(contextOf(training, i, n), training[i]!);
    });
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    let probability = 1 / BYTES;
    counts.forEach((count, n) => {
      if (i >= n) probability = count.probability(contextOf(text, i, n), text[i]!, probability);
    });
    bits -= Math.log2(probability);
  }
  return bits / text.length;
}

/** The `length` bytes before place `i`, as one number. */
function contextOf(bytes: Uint8Array, i: number, length: number): number {
  let context = 0;
  for (let n = length; n > 0; n--) context = context * BYTES + bytes[i - n]!;
  return context;
}
