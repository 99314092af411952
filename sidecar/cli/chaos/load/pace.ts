import type { CallRecord } from '../history/record.js';
import type { ModelName } from './client.js';

/** When calls of one model are due: at even distances. */
export class Pace<Model extends CallRecord['model'] = ModelName> {
  private nextMs: number;

  /** @param perSecond 0: never. @param fromMs when the first call is due. */
  constructor(
    readonly model: Model,
    private readonly perSecond: number,
    fromMs: number,
  ) {
    this.nextMs = perSecond > 0 ? fromMs : Number.POSITIVE_INFINITY;
  }

  /** How many calls have become due since the last question; they count as made. */
  take(nowMs: number): number {
    let due = 0;
    for (; this.nextMs <= nowMs; this.nextMs += 1_000 / this.perSecond) due += 1;
    return due;
  }
}
