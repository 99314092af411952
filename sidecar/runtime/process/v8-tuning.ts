import { setFlagsFromString } from 'node:v8';

const LARGE_BYTES = 2 * 1024 * 1024;

/**
 * V8 flag: up to 16 MiB for young objects, V8's default; said, so that it is the same whatever NODE_OPTIONS say. The young
 * heap must have room for all that calls in flight hold: with 4 MiB, a burst of calls with changing headers survived two
 * collections, became old, and filled the old heap with garbage for as long as the load went on (test/bench/README.md has
 * the figures). V8 reads it at start only, so the first line of `main.ts` has it too.
 */
export const YOUNG_HEAP_FLAG = '--max-semi-space-size=16';

/**
 * Flag of Node: one helper thread for what V8 does beside the program (compiling, marking), not four. Each has an arena of glibc of its own,
 * which keeps what compiling once took from it, and a sidecar seldom has more than a core (test/bench/README.md). Read at start
 * only, so that the first line of `main.ts` has it too.
 */
export const HELPERS_FLAG = '--v8-pool-size=1';

/**
 * V8 flags of a model process, after those of the program, which they replace: up to 32 MiB for young objects, garbage collected by
 * the thread of the model alone, as many helper threads as Node has by itself, and the inlining of `widenInlining`. A call of a
 * small network leaves some ten kilobytes that are dead when it is answered; with a small young heap they are collected by
 * several threads at once, which on one core are in each other's way, and more of them survive into the old one (decision 61; `npm
 * run bench -- serving`).
 */
export const MODEL_V8_FLAGS: readonly string[] = [
  '--max-semi-space-size=32',
  '--v8-pool-size=4',
  '--single-threaded-gc',
  '--max-inlined-bytecode-size-cumulative=1840',
  '--max-inlined-bytecode-size=920',
];

/** Tunes the memory and the compiler of a sidecar's process. To be called once, at start. */
export function tuneSidecar(): void {
  raiseTrimThreshold();
  disableIneffectiveGcCheck();
  widenInlining();
  collectYoungAlone();
  growBeforeCollecting();
}

/**
 * glibc returns memory at the top of its heap to the system whenever
 * 128 KiB are free, and takes it again by page faults for the next 64 KiB buffer. Freeing one large
 * block raises that threshold for good (mallopt(3), M_TRIM_THRESHOLD). The block's pages are never
 * touched. No effect elsewhere.
 */
function raiseTrimThreshold(): void {
  Buffer.allocUnsafeSlow(LARGE_BYTES);
}

/**
 * Switches off V8's early end of a process that collects garbage for most of the time with four
 * fifths of its old generation in use (Heap::CheckIneffectiveMarkCompact). Load shedding begins
 * above that level. At the heap limit the process still ends.
 */
function disableIneffectiveGcCheck(): void {
  setFlagsFromString('--no-detect-ineffective-gcs-near-heap-limit');
}

/**
 * Doubles what V8's optimising compiler inlines into one function (`--max-inlined-bytecode-size-cumulative` 920,
 * `--max-inlined-bytecode-size` 460). The way of a call is many small functions, and a call between two that are not inlined
 * costs as much as what either does. Code compiled from here on is concerned (decision 55).
 */
function widenInlining(): void {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=1840');
  setFlagsFromString('--max-inlined-bytecode-size=920');
}

/**
 * Young objects are collected by the main thread alone (`--no-parallel-scavenge`). A sidecar often has one core: helper
 * threads then take turns with the thread that waits for them, and each of them moves what survives to pages of its own.
 * Collections from here on are concerned.
 */
function collectYoungAlone(): void {
  setFlagsFromString('--no-parallel-scavenge');
}

/**
 * The old generation may grow to three times what was alive in it before all of it is collected (`--heap-growing-percent`). V8 by
 * itself takes less the more is allocated, and counts the 128 KiB buffers of large reads there while they are young: they come to 32 MiB
 * before a young collection frees them. A sidecar of 20 MB that had been collected once, as every one is that was idle for some seconds,
 * then collected everything several times a second for as long as streams or uploads went on (test/bench/README.md). Near the
 * heap limit V8 goes half the way to it, whatever this says.
 */
function growBeforeCollecting(): void {
  setFlagsFromString('--heap-growing-percent=200');
}
