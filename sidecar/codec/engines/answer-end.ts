/** The message that ends an answer: what it says ended it, and one of our own where an engine died before it sent it. */

import { Wire } from '../field-cursor.js';
import type { ResumeLayout } from './engine-codec.js';
import { FieldScanner } from './field-scanner.js';
import { MessageParts } from './message-parts.js';

/** Reads what ended an answer. What was read last stays until the next `read`. */
export class EndReader extends FieldScanner {
  /** In the word of the engine. */
  finish = '';
  /** A token that the engine names ended it. */
  isNamed = false;
  /** A text ended it. */
  isText = false;

  constructor(private readonly layout: ResumeLayout) {
    super();
  }

  /** Reads bytes `[start, end)`, a whole message with `layout.complete`. */
  read(buffer: Buffer, start: number, end: number): void {
    this.finish = '';
    this.isNamed = false;
    this.isText = false;
    this.buffer = buffer;
    for (let at = start; at < end && this.readField(at, end); ) {
      at = this.end;
      if (this.number === this.layout.complete && this.wire === Wire.bytes) this.readComplete(this.start, at);
    }
    this.leave();
  }

  private readComplete(start: number, end: number): void {
    const { finishReason, matchedToken, matchedText } = this.layout;
    for (let at = start; at < end && this.readField(at, end); at = this.end) {
      const { number, wire } = this;
      if (number === finishReason && wire === Wire.bytes)
        this.finish = this.buffer.toString('latin1', this.start, this.end);
      else if (number === matchedToken) this.isNamed = true;
      else if (number === matchedText) this.isText = true;
    }
  }
}

/** How an answer ended that its caller has all tokens of. */
export interface AnswerEnd {
  /** Ended by a token; else by the limit of its request. */
  readonly isStop: boolean;
  /** The engine names that token. */
  readonly isNamed: boolean;
  /** The last token, and its varint. */
  readonly last: number;
  readonly lastBytes: Buffer;
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

/** The message that ends an answer, without the prefix. As an engine does, it has the last tokens again. */
export function endMessage(layout: ResumeLayout, end: AnswerEnd): Buffer {
  const { complete, completeTokens: tokens, finishReason, matchedToken, ends } = layout;
  const { isStop, isNamed, last, lastBytes, promptTokens, cachedTokens } = end;
  const parts = new MessageParts()
    .bytes(tokens.ids, lastBytes)
    .bytes(finishReason, Buffer.from(isStop ? ends.stop : ends.length))
    .number(tokens.promptTokens, promptTokens)
    .number(tokens.completionTokens, 1)
    .number(tokens.cachedTokens, cachedTokens);
  if (isStop && isNamed) parts.varint(matchedToken, last);
  return new MessageParts().bytes(complete, parts.finish()).finish();
}
