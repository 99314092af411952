import { totalmem } from 'node:os';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { attempt } from '../attempt.js';

const MIB = 1024 * 1024;
/** V8's default on 64 bits, MiB, up to version 12 (Node 22), and from 13 (Node 24). */
const SEMI_SPACE_MIB = 16;
const SEMI_SPACE_MIB_13 = 64;
/** Two semi-spaces, and as much again for large young objects (V8, Heap::MaxReserved). */
const SEMI_SPACES = 3;

/** Memory in use and its limit, bytes. */
export interface ProcessMemory {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

let known: ProcessMemory = { usedBytes: 0, limitBytes: 0 };

/**
 * Memory of this process: the resident set against the limit of the control group or the machine,
 * or the old generation of the JavaScript heap against its limit, whichever is fuller. Never
 * throws: without a free descriptor, the last reading.
 */
export function processMemory(): ProcessMemory {
  known = attempt(readProcessMemory, known);
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
 * The old generation, whose limit ends the process. The limit of the whole heap includes the young
 * generation, which is nearly empty after every collection: a small heap would end with two thirds
 * of it in use.
 */
function oldGeneration(): ProcessMemory {
  const { heap_size_limit } = getHeapStatistics();
  let usedBytes = 0;
  for (const { space_name, space_used_size } of getHeapSpaceStatistics())
    if (!space_name.startsWith('new_')) usedBytes += space_used_size;
  return { usedBytes, limitBytes: heap_size_limit - YOUNG_BYTES };
}

/**
 * Largest size of the young generation, bytes.
 * @param flags command line and NODE_OPTIONS of this process.
 * @param v8 version of the engine.
 */
export function youngBytes(flags: string, v8 = process.versions.v8): number {
  const usual = Number.parseInt(v8, 10) >= 13 ? SEMI_SPACE_MIB_13 : SEMI_SPACE_MIB;
  const said = [...flags.matchAll(/--max[-_]semi[-_]space[-_]size[= ](\d+)/g)].at(-1)?.[1];
  return SEMI_SPACES * Number(said ?? usual) * MIB;
}

const YOUNG_BYTES = youngBytes([process.env['NODE_OPTIONS'] ?? '', ...process.execArgv].join(' '));

function ratioOf({ usedBytes, limitBytes }: ProcessMemory): number {
  return limitBytes > 0 ? usedBytes / limitBytes : 0;
}
