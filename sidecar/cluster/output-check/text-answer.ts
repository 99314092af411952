/**
 * An answer of TorchServe's Predictions: bytes that its handler made, mostly text in the form of JSON. Python writes numbers
 * that are none as `NaN`, `Infinity` and `-Infinity`, which JSON does not have.
 */

import type { BodyReader } from '../../codec/body-reader.js';
import { Wire } from '../../codec/field-cursor.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import { FieldWalk, messageReader, type Span } from './answer-layout.js';
import type { Inspection, RestSearch } from './inspect.js';

/** Text that is read at a time, bytes; of a longer one a window of this size, wherever the sample falls. */
const WINDOW = 64 * 1024;
/** Windows overlap, so that a word on their border is found. */
const OVERLAP = 16;
/** A word by itself: inside of a string it would mostly have other neighbours. */
const ODD = /(?:^|[[{,:\s])-?(?:NaN|Infinity)(?=$|[\]},\s])/;
/** How text that may be JSON begins. */
const JSON_START = /^\s*(?:[[{"\-\dNI]|true|false|null)/;

/** @param body as it was sent. Undefined: compressed, no such message, or no such text. Never throws. */
export function inspectText(body: ChunkList, seed: number): Inspection | undefined {
  try {
    const reader = messageReader(body);
    const span = reader && new PredictionReader(reader).prediction();
    if (reader === undefined || span === undefined || span.to === span.from) return undefined;
    if (!JSON_START.test(textIn(reader, span.from, Math.min(span.to, span.from + OVERLAP)))) return undefined;
    return look(reader, span, seed);
  } catch {
    return undefined;
  }
}

function look(reader: BodyReader, { from, to }: Span, seed: number): Inspection {
  const left = Math.max(0, to - from - WINDOW);
  const at = from + (left === 0 ? 0 : seed % left);
  const isOdd = isOddText(textIn(reader, at, Math.min(to, at + WINDOW)));
  return {
    model: '',
    shape: 'text',
    flaw: isOdd ? 'the text of the answer has numbers that are NaN or infinite' : '',
    rest: left === 0 ? null : new TextSearch(reader, from, to),
  };
}

/** Searches all of a text, a window at a time. */
class TextSearch implements RestSearch {
  constructor(
    private readonly reader: BodyReader,
    private at: number,
    private readonly to: number,
  ) {}

  step(): boolean | undefined {
    const end = Math.min(this.to, this.at + WINDOW);
    if (isOddText(textIn(this.reader, this.at, end))) return true;
    if (end === this.to) return false;
    this.at = end - OVERLAP;
    return undefined;
  }
}

class PredictionReader extends FieldWalk {
  /** Field 1 of `PredictionResponse`; undefined: it has none. */
  prediction(): Span | undefined {
    for (const field = this.cursor(this.message); this.next(field); )
      if (field.number === 1 && field.wire === Wire.bytes) return { from: field.start, to: field.end };
    return undefined;
  }
}

function isOddText(text: string): boolean {
  return (text.includes('NaN') || text.includes('Infinity')) && ODD.test(text);
}

function textIn(reader: BodyReader, from: number, to: number): string {
  return reader.copy(from, to).toString('latin1');
}
