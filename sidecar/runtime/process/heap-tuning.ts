/**
 * glibc gives memory at the top of its heap back to the system whenever 128 KiB of it are free, and takes it again,
 * page fault by page fault, for the next 64 KiB buffer. Freeing one large block
 * raises that threshold for good (mallopt(3), M_TRIM_THRESHOLD and its dynamic adjustment). Elsewhere it does nothing.
 */

import { setFlagsFromString } from 'node:v8';

const LARGE_BYTES = 2 * 1024 * 1024;

/**
 * A relay's objects die young: 4 MiB for them instead of 16 keep the resident set small (`npm run bench -- soak`). V8 takes it
 * only when it starts, so it stands in the first line of `main.ts` too.
 */
export const YOUNG_HEAP_FLAG = '--max-semi-space-size=4';

/** Once, at start. The block is returned when its buffer has been collected; its pages are never touched. */
export function raiseTrimThreshold(): void {
  Buffer.allocUnsafeSlow(LARGE_BYTES);
}

/**
 * V8 ends a process that has four fifths of its old generation in use and collects for most of the time
 * (Heap::CheckIneffectiveMarkCompact): below the level at which calls are shed, and though the rest would last. A sidecar
 * sheds instead; at the limit itself it still ends.
 */
export function disableIneffectiveGcCheck(): void {
  setFlagsFromString('--no-detect-ineffective-gcs-near-heap-limit');
}
