/**
 * Ways to cut what a peer sends: TCP may deliver any of them, so nothing may depend on where a read ends.
 */
import { seeded } from '../time/seeded-random.js';

/** Hands `bytes` on in pieces. Each piece is a buffer of its own, as a read is. */
export type Split = (bytes: Buffer, take: (piece: Buffer) => void) => void;

export const WHOLE: Split = (bytes, take) => {
  if (bytes.length > 0) take(Buffer.from(bytes));
};

export const BYTES: Split = (bytes, take) => {
  for (let at = 0; at < bytes.length; at++) take(Buffer.from(bytes.subarray(at, at + 1)));
};

/** Mostly small pieces, now and then a large one. */
export function randomSplit(seed: number): Split {
  const random = seeded(seed);
  return (bytes, take) => {
    for (let at = 0; at < bytes.length; ) {
      const most = random() < 0.3 ? 4096 : 16;
      const n = 1 + Math.floor(random() * most);
      take(Buffer.from(bytes.subarray(at, at + n)));
      at += n;
    }
  };
}

/** Every suite of frames is run with each of these. */
export const SPLITS: readonly (readonly [name: string, split: Split])[] = [
  ['in whole reads', WHOLE],
  ['one byte at a time', BYTES],
  ['cut at random', randomSplit(20_260_101)],
];
