/** A stream's owner that writes down all it is told, and does what a test asks of it in the middle of being told. */
import type { Connection } from '../../../sidecar/http2/connection.js';
import type { HeaderBlock } from '../../../sidecar/http2/hpack/header-list.js';
import { Ending, type Stream, type StreamOwner } from '../../../sidecar/http2/stream.js';
import { pairsOf } from './hpack-blocks.js';
import type { Field } from './hpack-lite.js';

export type Moment = 'headers' | 'data' | 'trailers' | 'ending' | 'sent';

export class Told implements StreamOwner {
  stream!: Stream;
  headers: readonly Field[] | null = null;
  trailerPairs: readonly Field[] | null = null;
  readonly pieces: Buffer[] = [];
  bytes = 0;
  /** How often END_STREAM was told. */
  ends = 0;
  readonly endings: { ending: number; code: number }[] = [];
  sent = 0;
  /** Done in the middle of being told. */
  during: (moment: Moment, told: Told) => void = () => {};

  constructor(
    private readonly connection: Connection,
    public credits: boolean,
  ) {}

  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }

  /** `reset 8`, `unprocessed 7`, …; empty when the stream has not ended that way. */
  get ending(): string {
    return this.endings.map(({ ending, code }) => `${NAMES.get(ending)} ${code}`).join(', ');
  }

  onHeaders(_stream: Stream, block: HeaderBlock, ended: boolean): void {
    this.headers = pairsOf(block);
    if (ended) this.ends++;
    this.during('headers', this);
  }

  onData(stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    this.bytes += end - start;
    this.pieces.push(Buffer.from(buffer.subarray(start, end)));
    if (ended) this.ends++;
    if (this.credits) this.connection.credit(stream, end - start, 0);
    this.during('data', this);
  }

  onTrailers(_stream: Stream, block: HeaderBlock): void {
    this.trailerPairs = pairsOf(block);
    this.ends++;
    this.during('trailers', this);
  }

  onEnding(_stream: Stream, ending: number, code: number): void {
    this.endings.push({ ending, code });
    this.during('ending', this);
  }

  onSent(_stream: Stream, bytes: number): void {
    this.sent += bytes;
    this.during('sent', this);
  }
}

const NAMES = new Map<number, string>(Object.entries(Ending).map(([name, value]) => [value, name]));
