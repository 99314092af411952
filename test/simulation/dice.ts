/** Chance of a simulation: every entity draws from a source of its own, so that leaving one out changes no other. */
import { seeded } from '../kit/time/seeded-random.js';

/** A number for a text: FNV-1a, 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

export class Dice {
  readonly next: () => number;

  /** @param name of the entity that draws. */
  constructor(
    readonly seed: number,
    readonly name: string,
  ) {
    this.next = seeded((Math.imul(seed, 0x9e3779b1) ^ hashOf(name)) >>> 0);
  }

  /** The dice of a part of this entity. */
  of(name: string | number): Dice {
    return new Dice(this.seed, `${this.name}/${name}`);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** A whole number from `low` to `high` whose logarithm is even: small ones are as frequent as large ones. `low` ≥ 1. */
  logBetween(low: number, high: number): number {
    return Math.round(low * (high / low) ** this.next());
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)]!;
  }
}
