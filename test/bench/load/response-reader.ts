/**
 * Reads the two statuses out of the response header blocks of one connection (RFC 7541 decoding, with a table of its
 * own so that the engine's decoder is not its own judge). Blocks seen before, in a table unchanged since, cost a
 * comparison of bytes.
 */

import { huffmanBytes, huffmanDecode } from '../../../sidecar/http2/hpack/huffman.js';
import { Cursor, readInteger } from '../../../sidecar/http2/hpack/integer.js';
import { type Field, HpackTable } from '../../kit/http2/hpack-lite.js';

const TABLE_BYTES = 4096;
const MEMO = 4;

/** How one response ended: 0 when the block has no HTTP status, -1 when it has no gRPC status. */
export interface Statuses {
  readonly httpStatus: number;
  readonly grpcStatus: number;
}

/** Reads status fields from response header blocks, with the dynamic table of the peer. */
export class ResponseReader {
  private readonly table = new HpackTable(TABLE_BYTES);
  private readonly cursor = new Cursor();
  private readonly blocks: { readonly bytes: Buffer; readonly statuses: Statuses }[] = [];

  read(buffer: Buffer, start: number, end: number): Statuses {
    for (const known of this.blocks) if (isSame(known.bytes, buffer, start, end)) return known.statuses;
    return this.decode(buffer, start, end);
  }

  private decode(buffer: Buffer, start: number, end: number): Statuses {
    let httpStatus = 0;
    let grpcStatus = -1;
    let changed = false;
    this.cursor.at = start;
    while (this.cursor.at < end) {
      const first = buffer[this.cursor.at]!;
      if ((first & 0xe0) === 0x20) {
        this.resize(readInteger(buffer, this.cursor, end, 0x1f));
        changed = true;
        continue;
      }
      const [name, value] = this.field(buffer, first, end);
      if (first >= 0x40 && first < 0x80) {
        this.table.add([name, value]);
        changed = true;
      }
      if (name === ':status') httpStatus = Number(value);
      else if (name === 'grpc-status') grpcStatus = Number(value);
    }
    const statuses = { httpStatus, grpcStatus };
    // What was remembered may name other entries now; and this block, read again, must change the table again.
    if (changed) this.blocks.length = 0;
    else this.remember(Buffer.from(buffer.subarray(start, end)), statuses);
    return statuses;
  }

  private remember(bytes: Buffer, statuses: Statuses): void {
    if (this.blocks.length === MEMO) this.blocks.shift();
    this.blocks.push({ bytes, statuses });
  }

  private field(buffer: Buffer, first: number, end: number): Field {
    if (first >= 0x80) return this.table.at(readInteger(buffer, this.cursor, end, 0x7f));
    const index = readInteger(buffer, this.cursor, end, first >= 0x40 ? 0x3f : 0x0f);
    const name = index === 0 ? this.text(buffer, end) : this.table.at(index)[0];
    return [name, this.text(buffer, end)];
  }

  private text(buffer: Buffer, end: number): string {
    const coded = buffer[this.cursor.at]! >= 0x80;
    const length = readInteger(buffer, this.cursor, end, 0x7f);
    const start = this.cursor.at;
    if (start + length > end) throw new Error('a string longer than its block');
    this.cursor.at = start + length;
    if (!coded) return buffer.toString('latin1', start, start + length);
    const decoded = huffmanDecode(buffer, start, start + length);
    if (decoded < 0) throw new Error('invalid Huffman code');
    return huffmanBytes().toString('latin1', 0, decoded >> 1);
  }

  private resize(limit: number): void {
    if (limit > TABLE_BYTES) throw new Error(`a table of ${limit} bytes was not offered`);
    this.table.resize(limit);
  }
}

function isSame(known: Buffer, buffer: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== buffer[start + i]) return false;
  return true;
}
