import { getOrInsert } from '../runtime/get-or-insert.js';
import type { ModelBackend } from './model-backend.js';

/** What the queue of a model has counted. */
export interface QueueCounts {
  evictedTotal: number;
  admittedTotal: number;
  expiredTotal: number;
}

const NONE: Readonly<QueueCounts> = { evictedTotal: 0, admittedTotal: 0, expiredTotal: 0 };

/** The counts of queues whose models are gone: a counter never goes back when a model is loaded again. */
export class EndedQueues {
  private readonly counts = new Map<string, QueueCounts>();

  /** The model of these queues is gone: its own queue, and those of its versions that have limits of their own. */
  add({ queues }: ModelBackend): void {
    for (const { name, version, limits } of queues.list) {
      const { queue } = limits;
      const sum = getOrInsert(this.counts, keyOf(name, version), () => ({ ...NONE }));
      sum.evictedTotal += queue.evictedTotal;
      sum.admittedTotal += queue.admittedTotal;
      sum.expiredTotal += queue.expiredTotal;
    }
  }

  of(name: string, version: string): Readonly<QueueCounts> {
    return this.counts.get(keyOf(name, version)) ?? NONE;
  }
}

function keyOf(name: string, version: string): string {
  return `${version}/${name}`;
}
