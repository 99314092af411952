/**
 * How much memory this process holds, and how much it may: of its resident set against the control group or the
 * machine, and of the old generation of the JavaScript heap against its own limit, whichever is nearer to its end.
 */

import { totalmem } from 'node:os';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';

const MIB = 1024 * 1024;
/** V8's default on 64 bits, MiB. */
const SEMI_SPACE_MIB = 16;
/** Two semi-spaces, and as much again for large young objects (V8, Heap::MaxReserved). */
const SEMI_SPACES = 3;

export interface ProcessMemory {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

let known: ProcessMemory = { usedBytes: 0, limitBytes: 0 };

/** The last reading that could be made: it opens files, for which there may be no descriptor. Never throws. */
export function processMemory(): ProcessMemory {
  try {
    known = readProcessMemory();
  } catch {
    // What was known is nearer to the truth than nothing.
  }
  return known;
}

function readProcessMemory(): ProcessMemory {
  const total = totalmem();
  // 0 or beyond any memory there is: no limit of a control group.
  const constrained = process.constrainedMemory();
  const limitBytes = constrained > 0 && constrained < total ? constrained : total;
  const resident = { usedBytes: process.memoryUsage.rss(), limitBytes };
  const heap = oldGeneration();
  return ratioOf(heap) > ratioOf(resident) ? heap : resident;
}

/**
 * What a process dies of: the limit of the whole heap counts the young generation too, which is nearly empty after every
 * collection, and a small heap would be at its end with two thirds of it in use.
 */
function oldGeneration(): ProcessMemory {
  const { heap_size_limit } = getHeapStatistics();
  let usedBytes = 0;
  for (const { space_name, space_used_size } of getHeapSpaceStatistics())
    if (!space_name.startsWith('new_')) usedBytes += space_used_size;
  return { usedBytes, limitBytes: heap_size_limit - YOUNG_BYTES };
}

/** Of the young generation at most; `flags` as Node got them. */
export function youngBytes(flags: string): number {
  const said = [...flags.matchAll(/--max[-_]semi[-_]space[-_]size[= ](\d+)/g)].at(-1)?.[1];
  return SEMI_SPACES * Number(said ?? SEMI_SPACE_MIB) * MIB;
}

const YOUNG_BYTES = youngBytes([process.env['NODE_OPTIONS'] ?? '', ...process.execArgv].join(' '));

function ratioOf({ usedBytes, limitBytes }: ProcessMemory): number {
  return limitBytes > 0 ? usedBytes / limitBytes : 0;
}
