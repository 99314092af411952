import type { Stream, StreamOwner } from '../http2/stream.js';
import { FIRST_WINDOW } from './memory-budget.js';
import type { Session } from './session.js';

/**
 * A request in which nothing matters: it is read to its end, then answered. It is no call and has no timer, so that one that does not
 * end is told as stalled, and holds no place and no memory against others.
 */
export abstract class ReadToEnd implements StreamOwner {
  private isAnswered = false;
  /** When something of it last came, monotonic ms. */
  private movedMs: number;

  /** `answer` is called by the subclass where there is nothing to be read. */
  constructor(
    protected readonly session: Session,
    stream: Stream,
  ) {
    stream.owner = this;
    this.movedMs = session.context.nowMs;
  }

  protected abstract reply(stream: Stream): void;

  onHeaders(): void {}

  onData(stream: Stream, _buffer: Buffer, start: number, end: number, ended: boolean): void {
    this.movedMs = this.session.context.nowMs;
    if (ended) this.answer(stream);
    else this.session.connection.credit(stream, end - start, FIRST_WINDOW);
  }

  onTrailers(stream: Stream): void {
    this.answer(stream);
  }

  onEnding(): void {}
  onSent(): void {}

  stalledSinceMs({ remoteEnded }: Stream): number {
    return remoteEnded || this.isAnswered ? Number.POSITIVE_INFINITY : this.movedMs;
  }

  /** Once. */
  protected answer(stream: Stream): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.reply(stream);
  }
}
