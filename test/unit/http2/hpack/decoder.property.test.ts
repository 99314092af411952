// Random traffic, held against the plain model: a peer's blocks through our decoder, our blocks through the model.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Decoder } from '../../../../sidecar/http2/hpack/decoder.js';
import { Encoder } from '../../../../sidecar/http2/hpack/encoder.js';
import { HpackError } from '../../../../sidecar/http2/hpack/errors.js';
import { STATIC_FIELDS } from '../../../../sidecar/http2/hpack/static-table.js';
import { decode, fieldsOf, integer, literal, newDecoder } from '../../../kit/http2/hpack-blocks.js';
import { ModelDecoder, type ModelField, ModelTable } from '../../../kit/http2/hpack-model.js';

interface Step {
  readonly name: string;
  readonly value: string;
  /** 0x40, 0x00 or 0x10 */
  readonly first: number;
  readonly huffman: boolean;
  /** whether an index may stand for the name, and for the whole field */
  readonly byIndex: boolean;
}

interface Block {
  readonly steps: readonly Step[];
  /** a size of the table that both sides agree on before this block */
  readonly tableBytes: number | null;
}

const NAMES = [
  ':path',
  ':authority',
  'te',
  'user-agent',
  'accept-encoding',
  'grpc-timeout',
  'grpc-message',
  'traceparent',
  'authorization',
  'cookie',
  'x-tenant',
  'x-hop',
  'x-hop-bin',
  'X-Bad',
];

const step = fc.record({
  name: fc.constantFrom(...NAMES),
  value: fc.oneof(
    {
      weight: 5,
      arbitrary: fc.constantFrom('', 'trailers', '/a.B/C', '00-4bf92f-01', '15S', 'gzip, deflate'),
    },
    { weight: 1, arbitrary: fc.string({ maxLength: 12, unit: 'binary-ascii' }) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 40 }).map((octets) => Buffer.from(octets).toString('latin1')),
    },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 250, max: 600 }).map((length) => 'long '.repeat(120).slice(0, length)),
    },
  ),
  first: fc.constantFrom(0x40, 0x40, 0x00, 0x10),
  huffman: fc.boolean(),
  byIndex: fc.boolean(),
});

const block = fc.record({
  steps: fc.array(step, { maxLength: 12 }),
  tableBytes: fc.option(fc.constantFrom(0, 40, 100, 300, 1000, 4096, 65_536), { freq: 3 }),
});

/** What a peer may send for these steps; keeps `table` as the peer's encoder would. */
function write(block: Block, table: ModelTable): Buffer {
  const parts: Buffer[] = [];
  if (block.tableBytes !== null) {
    parts.push(integer(0x20, 0x1f, block.tableBytes));
    table.limit = block.tableBytes;
    table.evict();
  }
  for (const { name, value, first, huffman, byIndex } of block.steps) {
    const all = [...STATIC_FIELDS.slice(1), ...table.entries];
    const whole = all.findIndex((entry) => entry.name === name && entry.value === value) + 1;
    if (byIndex && whole > 0 && first !== 0x10) {
      parts.push(integer(0x80, 0x7f, whole));
      continue;
    }
    const named = byIndex ? all.findIndex((entry) => entry.name === name) + 1 : 0;
    parts.push(literal({ first, name: named > 0 ? named : name, value, huffman }));
    if (first === 0x40) table.add(name, value);
  }
  return Buffer.concat(parts);
}

function modelFields(steps: readonly Step[]): ModelField[] {
  return steps.map(({ name, value }) => ({ name, value, neverIndexed: false }));
}

/** The values of each name in order: what a relay must not change. A pseudo-header that comes twice is malformed in any order. */
function byName(fields: readonly { name: string; value: string }[]): Record<string, string[]> {
  const values: Record<string, string[]> = {};
  for (const { name, value } of fields) {
    values[name] ??= [];
    values[name].push(value);
    if (name.startsWith(':')) values[name].sort();
  }
  return values;
}

function secrets(fields: readonly { name: string; value: string; neverIndexed: boolean }[]): string[] {
  return fields.filter((field) => field.neverIndexed).map(({ name, value }) => `${name}\n${value}`);
}

describe('any traffic', () => {
  it('is decoded to the fields that were sent, each name in order, and counted in full', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 12 }), (blocks) => {
        const table = new ModelTable(4096);
        const decoder = newDecoder();
        for (const sent of blocks) {
          if (sent.tableBytes !== null) decoder.setMaxTableBytes(sent.tableBytes);
          const got = decode(decoder, write(sent, table));
          assert.deepEqual(byName(fieldsOf(got)), byName(modelFields(sent.steps)));
          assert.equal(got.count, sent.steps.length);
          assert.equal(
            got.bytes,
            sent.steps.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0),
          );
          assert.equal(decoder.table.bytes, table.bytes);
          assert.equal(decoder.table.count, table.entries.length);
        }
      }),
      { numRuns: 300 },
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
          const table = new ModelTable(4096);
          const near = newDecoder();
          const encoder = new Encoder();
          const model = new ModelDecoder(4096);
          const far = newDecoder();
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
              const octets = out.subarray(7, end);
              const read = model.decode(octets);
              assert.deepEqual(byName(read), byName(modelFields(sent.steps)));
              assert.deepEqual(secrets(read).sort(), secrets(fieldsOf(received)).sort());
              assert.deepEqual(byName(fieldsOf(decode(far, octets))), byName(modelFields(sent.steps)));
              assert.equal(far.table.bytes, model.table.bytes);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Both decoders on the same octets: the same fields, or an error from both. */
function compare(octets: Uint8Array, decoder: Decoder, model: ModelDecoder): boolean {
  let expected: ModelField[] | null = null;
  try {
    expected = model.decode(octets);
  } catch {
    assert.throws(() => decode(decoder, octets), HpackError);
    return false;
  }
  const got = decode(decoder, octets);
  assert.deepEqual(byName(fieldsOf(got)), byName(expected));
  assert.deepEqual(secrets(fieldsOf(got)).sort(), secrets(expected).sort());
  assert.equal(decoder.table.bytes, model.table.bytes);
  return true;
}

describe('any octets', () => {
  it('are read as the model reads them, or refused where it refuses', () => {
    const representation = fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      step.map((one) =>
        literal({ first: one.first, name: one.name, value: one.value, huffman: one.huffman }),
      ),
      fc.integer({ min: 0x80, max: 0xff }).map((octet) => Buffer.from([octet])),
    );
    fc.assert(
      fc.property(fc.array(fc.array(representation, { maxLength: 6 }), { maxLength: 6 }), (blocks) => {
        const decoder = newDecoder();
        const model = new ModelDecoder(4096);
        for (const parts of blocks) if (!compare(Buffer.concat(parts), decoder, model)) return;
      }),
      { numRuns: 1000 },
    );
  });

  it('are read as the model reads them when one octet of a good block differs', () => {
    const good = Buffer.concat([
      Buffer.from([0x3f, 0xe1, 0x1f, 0x83, 0x86]),
      literal({ first: 0x40, name: 4, value: '/grpc.Service/Method', huffman: true }),
      literal({ first: 0x00, name: 'grpc-timeout', value: '1500m', huffman: true }),
      Buffer.from([0xbe]),
      literal({ first: 0x10, name: 23, value: 'Bearer x', huffman: false }),
      literal({ first: 0x40, name: 'x-tenant', value: '', huffman: true }),
      literal({ first: 0x40, name: 62, value: 'y', huffman: false }),
    ]);
    let refused = 0;
    for (let at = 0; at < good.length; at++) {
      for (let octet = 0; octet < 256; octet++) {
        const octets = Buffer.from(good);
        octets[at] = octet;
        if (!compare(octets, newDecoder(), new ModelDecoder(4096))) refused++;
      }
    }
    assert.ok(refused > 1000);
    assert.ok(compare(good, newDecoder(), new ModelDecoder(4096)));
  });

  it('are refused, or read, alike in each part of a good block', () => {
    const good = Buffer.concat([
      Buffer.from([0x83]),
      literal({ first: 0x40, name: 'x-a', value: 'value', huffman: true }),
      literal({ first: 0x00, name: 'traceparent', value: '00-4bf92f3577b34da6-01', huffman: true }),
      Buffer.from([0xbe, 0xff, 0x00]),
    ]);
    for (let end = 0; end <= good.length; end++)
      compare(good.subarray(0, end), newDecoder(), new ModelDecoder(4096));
  });
});
