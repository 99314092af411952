import type { Random } from '../../runtime/random.js';

const WORD = 0x1_0000_0000;

/** A new trace id: 32 hexadecimal digits, not all zero. Ids are to differ, not to be secret. */
export function newTraceId(random: Random): string {
  return newSpanId(random) + word(random) + word(random);
}

/** A new span id: 16 hexadecimal digits, not all zero. */
export function newSpanId(random: Random): string {
  const id = word(random) + word(random);
  return id === NONE ? FIRST : id;
}

const NONE = '0'.repeat(16);
const FIRST = `${'0'.repeat(15)}1`;

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function word(random: Random): string {
  const bits = (random() * WORD) >>> 0;
  return HEX[bits >>> 24]! + HEX[(bits >>> 16) & 0xff]! + HEX[(bits >>> 8) & 0xff]! + HEX[bits & 0xff]!;
}

const UUID = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;
const NO_TRACE = '0'.repeat(32);

/**
 * The trace id that follows from the id of a request, where that is a UUID, with or without hyphens: each sidecar that sees
 * it comes to the same one. Undefined: it is something else.
 */
export function traceIdFrom(requestId: string): string | undefined {
  if (!UUID.test(requestId)) return undefined;
  const id = requestId.replaceAll('-', '').toLowerCase();
  return id === NO_TRACE ? undefined : id;
}
