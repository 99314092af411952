import type { PeerStream } from '../http2/scripted-peer.js';

/** How many of `items` have each key. */
export function countBy<T>(items: Iterable<T>, keyOf: (item: T) => string | number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) {
    const key = keyOf(item);
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** How a call ended: the text of its answer, else `status reason`, or `not ended`. */
export function resultOf(stream: PeerStream): string {
  if (!stream.isOver) return 'not ended';
  return stream.status === 0 ? stream.body.toString() : `${stream.status} ${stream.reason ?? ''}`.trim();
}
