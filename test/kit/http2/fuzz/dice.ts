/** Chance for the fuzzer: one seed, one sequence. */
import { seeded } from '../../time/seeded-random.js';

export class Dice {
  private readonly random: () => number;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** 0 … n − 1. */
  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  /** from … to. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** One of the things, as likely as its weight says. */
  weighted<T>(choices: readonly (readonly [weight: number, what: T])[]): T {
    let left = this.random() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, what] of choices) {
      left -= weight;
      if (left < 0) return what;
    }
    return choices.at(-1)![1];
  }

  bytes(n: number): Buffer {
    const bytes = Buffer.allocUnsafe(n);
    for (let i = 0; i < n; i++) bytes[i] = this.below(256);
    return bytes;
  }

  /** Mostly small, sometimes at a border, sometimes large. */
  size(most: number): number {
    return Math.min(
      most,
      this.weighted([
        [5, this.below(20)],
        [3, this.below(300)],
        [1, this.pick([255, 256, 4095, 4096, 16_383, 16_384])],
        [1, this.below(most + 1)],
      ]),
    );
  }
}
