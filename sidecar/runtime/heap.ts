/**
 * glibc gives memory at the top of its heap back to the system whenever 128 KiB of it are free, and takes it again,
 * page fault by page fault, for the next 64 KiB read: two thirds of the cost of reading. Freeing one large block
 * raises that threshold for good (mallopt(3), M_TRIM_THRESHOLD and its dynamic adjustment). Elsewhere it does nothing.
 */

const LARGE_BYTES = 16 * 1024 * 1024;

/** Once, at start. The block is returned when its buffer has been collected; its pages are never touched. */
export function keepHeapTop(): void {
  Buffer.allocUnsafeSlow(LARGE_BYTES);
}
