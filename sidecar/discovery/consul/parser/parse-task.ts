import { messageOf } from '../../../runtime/log/message-of.js';
import { readInstances } from './instances.js';
import type { FromWorker, ToWorker } from './messages.js';

/** About half a millisecond of work for the main thread. */
export const SLICE = 200;

interface Known {
  /** That brought it. */
  readonly job: number;
  /** Place of each instance, by its text. */
  readonly places: ReadonlyMap<string, number>;
}

/**
 * The work of the parse worker, without its thread. Instances are compared as text with those of the list before, so
 * that of 10,000 only the few that changed cross to the main thread, which keeps its objects for the rest.
 */
export class ParseTask {
  private readonly known = new Map<number, Known>();
  /** Rows that have not been asked for yet, by job. */
  private readonly waiting = new Map<number, string[]>();

  constructor(private readonly send: (message: FromWorker) => void) {}

  /** Handles a message of the main thread; each `parse` is answered by `parsed` or `failed`. */
  handle(message: ToWorker): void {
    if (message.kind === 'parse') this.parse(message);
    else if (message.kind === 'next') this.next(message.job);
    else this.known.delete(message.stream);
  }

  private parse({ job, stream, base, wan, placeKeys, body }: ToWorker & { kind: 'parse' }): void {
    try {
      const { instances, skipped, problem } = readInstances(body, { wan, placeKeys });
      const before = this.known.get(stream);
      const old = before !== undefined && before.job === base ? before.places : undefined;
      const places = new Map<string, number>();
      const fresh: string[] = [];
      const from = new Int32Array(instances.length);
      for (let i = 0; i < instances.length; i += 1) {
        const text = JSON.stringify(instances[i]);
        places.set(text, i);
        from[i] = old?.get(text) ?? -1;
        if (from[i] === -1) fresh.push(text);
      }
      this.known.set(stream, { job, places });
      if (fresh.length > 0) this.waiting.set(job, fresh);
      this.send({ kind: 'parsed', job, from, fresh: fresh.length, skipped, problem });
    } catch (error) {
      this.send({ kind: 'failed', job, message: messageOf(error) });
    }
  }

  private next(job: number): void {
    const rows = this.waiting.get(job);
    if (rows === undefined) return;
    this.send({ kind: 'slice', job, text: `[${rows.splice(0, SLICE).join(',')}]` });
    if (rows.length === 0) this.waiting.delete(job);
  }
}
