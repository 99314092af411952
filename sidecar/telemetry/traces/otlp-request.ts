/** The message around spans (ExportTraceServiceRequest), and what collectors answer. */

import type { Batch } from './span-queue.js';
import { AttributeKey, SpanWriter, varintLength, writeVarint } from './span-writer.js';

/** ExportTraceServiceRequest.resource_spans, ResourceSpans.resource and scope_spans, ScopeSpans.scope: all field 1 or 2. */
const FIRST = 0x0a;
const SECOND = 0x12;

/** Whose spans they are: the same for all of one process. */
export interface SpanSource {
  /** Of the resource, by the semantic conventions. */
  readonly resource: Readonly<Record<string, string>>;
  /** Of the instrumentation scope. */
  readonly version: string;
}

/** Puts batches into requests. */
export class RequestWriter {
  private readonly resource: Buffer;
  private readonly scope: Buffer;

  constructor({ resource, version }: SpanSource) {
    const attributes = new SpanWriter();
    for (const [name, value] of Object.entries(resource))
      attributes.text(new AttributeKey(name), value, FIRST);
    this.resource = message(FIRST, attributes.copy());
    const name = message(FIRST, Buffer.from('outrider'));
    this.scope = message(FIRST, Buffer.concat([name, message(SECOND, Buffer.from(version))]));
  }

  /** The body of a request. */
  write({ parts, bytes }: Batch): Buffer {
    const scopeSpans = this.scope.length + bytes;
    const resourceSpans = this.resource.length + prefixLength(scopeSpans) + scopeSpans;
    const prefixes = [prefix(FIRST, resourceSpans), this.resource, prefix(SECOND, scopeSpans), this.scope];
    return Buffer.concat([...prefixes, ...parts]);
  }
}

function prefixLength(length: number): number {
  return 1 + varintLength(length);
}

/** Tag and length of a field. */
function prefix(tag: number, length: number): Buffer {
  const bytes = Buffer.alloc(prefixLength(length));
  bytes[0] = tag;
  writeVarint(bytes, 1, length);
  return bytes;
}

function message(tag: number, content: Buffer): Buffer {
  return Buffer.concat([prefix(tag, content.length), content]);
}

/**
 * Spans that a collector refused of those it took: `partial_success.rejected_spans` of an ExportTraceServiceResponse. 0 also
 * where the answer is none: what a collector says beside its status changes nothing here but a count.
 */
export function rejectedSpans(answer: Uint8Array): number {
  // Field 1, its length, field 1 of it.
  if (answer.length < 4 || answer[0] !== FIRST || answer[2] !== 0x08) return 0;
  let count = 0;
  for (let i = 3, scale = 1; i < Math.min(answer.length, 11); i++, scale *= 0x80) {
    count += (answer[i]! & 0x7f) * scale;
    if (answer[i]! < 0x80) return count;
  }
  return 0;
}
