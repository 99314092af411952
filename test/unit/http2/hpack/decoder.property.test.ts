// Random traffic, held against the plain codec of the kit: a peer's blocks through our decoder, our blocks through the kit's.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Encoder } from '../../../../sidecar/http2/hpack/encoder.js';
import { HpackError } from '../../../../sidecar/http2/hpack/errors.js';
import type { HeaderBlock } from '../../../../sidecar/http2/hpack/header-list.js';
import { decode, fieldsOf, literal, newDecoder, pair, pairsOf } from '../../../kit/http2/hpack-blocks.js';
import {
  type Field,
  HpackDecoder,
  HpackTable,
  indexed,
  tableSizeUpdate,
} from '../../../kit/http2/hpack-lite.js';
import { runs } from '../../../kit/mocha/effort.js';

const NAMES = (
  ':path :authority te user-agent accept-encoding grpc-timeout grpc-message traceparent authorization cookie ' +
  'x-tenant x-hop x-hop-bin X-Bad'
).split(' ');

const step = fc.record({
  name: fc.constantFrom(...NAMES),
  value: fc.oneof(
    {
      weight: 5,
      arbitrary: fc.constantFrom('', 'trailers', '/a.B/C', '00-4bf92f-01', '15S', 'gzip, deflate'),
    },
    fc.string({ maxLength: 12, unit: 'binary-ascii' }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.integer({ min: 250, max: 600 }).map((length) => 'long '.repeat(120).slice(0, length)),
  ),
  first: fc.constantFrom(0x40, 0x40, 0x00, 0x10),
  huffman: fc.boolean(),
  /** Whether an index may stand for the name, and for the whole field. */
  byIndex: fc.boolean(),
});

const block = fc.record({
  steps: fc.array(step, { maxLength: 12 }),
  /** A size of the table that both sides agree on before this block. */
  tableBytes: fc.option(fc.constantFrom(0, 40, 100, 300, 1000, 4096, 65_536), { freq: 3 }),
});
type Block = typeof block extends fc.Arbitrary<infer T> ? T : never;

/** What a peer may send for these steps; keeps `table` as the peer's encoder would. */
function write({ steps, tableBytes }: Block, table: HpackTable): Buffer {
  const parts: Buffer[] = [];
  if (tableBytes !== null) {
    parts.push(tableSizeUpdate(tableBytes));
    table.resize(tableBytes);
  }
  for (const { name, value, first, huffman, byIndex } of steps) {
    const whole = table.indexOf((entry) => entry[0] === name && entry[1] === value);
    if (byIndex && whole > 0 && first !== 0x10) {
      parts.push(indexed(whole));
      continue;
    }
    const named = byIndex ? table.indexOf((entry) => entry[0] === name) : 0;
    parts.push(literal({ first, name: named > 0 ? named : name, value, huffman }));
    if (first === 0x40) table.add([name, value]);
  }
  return Buffer.concat(parts);
}

const sentFields = ({ steps }: Block): Field[] => steps.map(({ name, value }) => [name, value]);

/** The values of metadata without the whitespace around them. A field with an invalid name stays as it is. */
const trimmed = (fields: readonly Field[]): Field[] =>
  fields.map(([name, value]) => {
    const isMetadata = /^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name) && !/[\0\r\n]/.test(value);
    return [name, isMetadata ? value.replace(/^[ \t]+|[ \t]+$/g, '') : value];
  });

/** The values of each name in order: what a relay must not change. A pseudo-header that comes twice is malformed in any order. */
function byName(fields: readonly Field[]): Record<string, string[]> {
  const values: Record<string, string[]> = {};
  for (const [name, value] of fields) {
    values[name] ??= [];
    values[name].push(value);
    if (name.startsWith(':')) values[name].sort();
  }
  return values;
}

function secrets(received: HeaderBlock): Field[] {
  return fieldsOf(received)
    .filter(({ neverIndexed }) => neverIndexed)
    .map(pair);
}

describe('any traffic', () => {
  it('is decoded to the fields that were sent, each name in order, and counted in full', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 12 }), (blocks) => {
        const table = new HpackTable();
        const decoder = newDecoder();
        for (const sent of blocks) {
          if (sent.tableBytes !== null) decoder.setMaxTableBytes(sent.tableBytes);
          const got = decode(decoder, write(sent, table));
          assert.deepEqual(byName(pairsOf(got)), byName(trimmed(sentFields(sent))));
          const bytes = sent.steps.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0);
          assert.deepEqual([got.count, got.bytes], [sent.steps.length, bytes]);
          assert.deepEqual([decoder.table.bytes, decoder.table.count], [table.bytes, table.entries.length]);
        }
      }),
      { numRuns: runs(60) },
    );
  });

  it('survives a relay: decoded, encoded, and read by the model and by ourselves, through changes of both tables', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(block, fc.option(fc.constantFrom(0, 50, 200, 4096, 10_000), { freq: 3 })), {
          maxLength: 14,
        }),
        fc.integer({ min: 1, max: 4 }),
        (traffic, repeats) => {
          const [table, model] = [new HpackTable(), new HpackDecoder()];
          const [near, encoder, far] = [newDecoder(), new Encoder(), newDecoder()];
          for (const [sent, size] of traffic) {
            if (sent.tableBytes !== null) near.setMaxTableBytes(sent.tableBytes);
            const received = decode(near, write(sent, table));
            if (size !== null) {
              encoder.setMaxTableBytes(size);
              model.maxTableBytes = size;
              far.setMaxTableBytes(size);
            }
            for (let round = 0; round < repeats; round++) {
              const out = Buffer.alloc(encoder.bound(received.stable, received.extras) + 7);
              const end = encoder.encode(received.stable, received.extras, out, 7);
              const bytes = out.subarray(7, end);
              const read = model.decode(bytes);
              assert.deepEqual(byName(read), byName(trimmed(sentFields(sent))));
              assert.deepEqual(trimmed(model.secrets).sort(), secrets(received).sort());
              assert.deepEqual(byName(pairsOf(decode(far, bytes))), byName(trimmed(sentFields(sent))));
              assert.equal(far.table.bytes, model.table.bytes);
            }
          }
        },
      ),
      { numRuns: runs(60) },
    );
  });
});

/** Both decoders on the same bytes: the same fields, or an error from both. */
function compare(bytes: Buffer, decoder = newDecoder(), model = new HpackDecoder()): boolean {
  let expected: Field[];
  try {
    expected = model.decode(bytes);
  } catch {
    assert.throws(() => decode(decoder, bytes), HpackError);
    return false;
  }
  const got = decode(decoder, bytes);
  assert.deepEqual(byName(pairsOf(got)), byName(trimmed(expected)));
  assert.deepEqual(secrets(got).sort(), trimmed(model.secrets).sort());
  assert.equal(decoder.table.bytes, model.table.bytes);
  return true;
}

describe('any bytes', () => {
  it('are read as the model reads them, or refused where it refuses', () => {
    const representation = fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      step.map(literal),
      fc.integer({ min: 0x80, max: 0xff }).map((byte) => Buffer.from([byte])),
    );
    fc.assert(
      fc.property(fc.array(fc.array(representation, { maxLength: 6 }), { maxLength: 6 }), (blocks) => {
        const [decoder, model] = [newDecoder(), new HpackDecoder()];
        for (const parts of blocks) if (!compare(Buffer.concat(parts), decoder, model)) return;
      }),
      { numRuns: runs(200) },
    );
  });

  it('are read as the model reads them when one byte of a good block differs', () => {
    const good = Buffer.concat([
      Buffer.from([0x3f, 0xe1, 0x1f, 0x83, 0x86]),
      literal({ first: 0x40, name: 4, value: '/grpc.Service/Method', huffman: true }),
      literal({ name: 'grpc-timeout', value: '1500m', huffman: true }),
      Buffer.from([0xbe]),
      literal({ first: 0x10, name: 23, value: 'Bearer x' }),
      literal({ first: 0x40, name: 'x-tenant', value: '', huffman: true }),
      literal({ first: 0x40, name: 62, value: 'y' }),
    ]);
    let refused = 0;
    for (let at = 0; at < good.length; at++) {
      for (let byte = 0; byte < 256; byte++) {
        const bytes = Buffer.from(good);
        bytes[at] = byte;
        if (!compare(bytes)) refused++;
      }
    }
    assert.ok(refused > 1000);
    assert.ok(compare(good));
  });

  it('are refused, or read, alike in each part of a good block', () => {
    const good = Buffer.concat([
      Buffer.from([0x83]),
      literal({ first: 0x40, name: 'x-a', value: 'value', huffman: true }),
      literal({ name: 'traceparent', value: '00-4bf92f3577b34da6-01', huffman: true }),
      Buffer.from([0xbe, 0xff, 0x00]),
    ]);
    for (let end = 0; end <= good.length; end++) compare(good.subarray(0, end));
  });
});
