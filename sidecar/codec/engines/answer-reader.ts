import { Wire } from '../field-cursor.js';
import type { AnswerLayout } from './engine-codec.js';
import { FieldScanner } from './field-scanner.js';

/** Whether messages of an answer say something, and how they say it ends, of one sequence or several. What was read last stays. */
export class AnswerReader extends FieldScanner {
  /** The caller may not get it twice: tokens, the end of a sequence, or what is not known, such as an error. */
  hasContent = false;
  /** The end of a sequence, given up or not. */
  hasEnd = false;
  /** Why the engine has given the answer up, in its own word; empty: it has not. */
  failure = '';

  constructor(private readonly layout: AnswerLayout) {
    super();
  }

  /** Reads bytes `[start, end)`, a whole message; of one that is none, as far as it can be read. */
  read(buffer: Buffer, start: number, end: number): void {
    const { chunk, complete } = this.layout;
    this.hasContent = false;
    this.hasEnd = false;
    this.failure = '';
    this.buffer = buffer;
    let isKnown = start === end;
    let at = start;
    while (at < end && this.readField(at, end)) {
      at = this.end;
      const isPart = this.wire === Wire.bytes && (this.number === chunk || this.number === complete);
      if (!isPart) continue;
      isKnown = true;
      if (this.number === chunk) this.readChunk(this.start, at);
      else this.readComplete(this.start, at);
    }
    if (!isKnown || at < end) this.hasContent = true;
    this.leave();
  }

  private readChunk(start: number, end: number): void {
    for (let at = start; at < end && this.readField(at, end); at = this.end) {
      if (
        this.number !== this.layout.chunkTokens.ids ||
        (this.wire === Wire.bytes && this.start === this.end)
      )
        continue;
      this.hasContent = true;
      return;
    }
  }

  private readComplete(start: number, end: number): void {
    const { finishReason, failures } = this.layout;
    this.hasContent = true;
    this.hasEnd = true;
    for (let at = start; at < end && this.readField(at, end); at = this.end) {
      if (this.number !== finishReason || this.wire !== Wire.bytes) continue;
      const said = this.buffer.toString('latin1', this.start, this.end);
      this.failure = failures.has(said) ? said : '';
    }
  }
}
