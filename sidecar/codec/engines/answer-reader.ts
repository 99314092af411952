import { Wire } from '../field-cursor.js';
import type { AnswerLayout } from './engine-codec.js';
import { FieldScanner } from './field-scanner.js';

/** Whether messages of an answer bring tokens, and how they say it ends, of one sequence or several. What was read last stays. */
export class AnswerReader extends FieldScanner {
  hasTokens = false;
  /** Why the engine has given the answer up, in its own word; empty: it has not. */
  failure = '';

  constructor(private readonly layout: AnswerLayout) {
    super();
  }

  /** Reads bytes `[start, end)`, a whole message; of one that is none, as far as it can be read. */
  read(buffer: Buffer, start: number, end: number): void {
    const { chunk, complete } = this.layout;
    this.hasTokens = false;
    this.failure = '';
    this.buffer = buffer;
    for (let at = start; at < end && this.readField(at, end); ) {
      at = this.end;
      if (this.wire !== Wire.bytes) continue;
      if (this.number === chunk) this.readChunk(this.start, at);
      else if (this.number === complete) this.readComplete(this.start, at);
    }
    this.leave();
  }

  private readChunk(start: number, end: number): void {
    for (let at = start; at < end && this.readField(at, end); at = this.end) {
      if (
        this.number !== this.layout.chunkTokens.ids ||
        (this.wire === Wire.bytes && this.start === this.end)
      )
        continue;
      this.hasTokens = true;
      return;
    }
  }

  private readComplete(start: number, end: number): void {
    const { finishReason, failures } = this.layout;
    for (let at = start; at < end && this.readField(at, end); at = this.end) {
      if (this.number !== finishReason || this.wire !== Wire.bytes) continue;
      const said = this.buffer.toString('latin1', this.start, this.end);
      this.failure = failures.has(said) ? said : '';
    }
  }
}
