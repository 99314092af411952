import { metadataValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';

/** W3C Trace Context: version, trace id, parent id, flags; later versions may add to it. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;
const MAX_TRACEPARENT = 100;

/** The trace id in the `traceparent` of a request, 32 hexadecimal digits; undefined: it has none that is valid. */
export function traceIdOf(block: HeaderBlock): string | undefined {
  const value = metadataValue(block, 'traceparent') ?? '';
  return value.length > MAX_TRACEPARENT ? undefined : TRACEPARENT.exec(value)?.[1];
}
