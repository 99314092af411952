import assert from 'node:assert/strict';
import { MetadataKey } from '../../../../sidecar/core/metadata-key.js';
import { Encoder, MAX_TABLE_BYTES, MISSES_BEFORE_RESTART } from '../../../../sidecar/http2/hpack/encoder.js';
import { type HeaderField, makeField } from '../../../../sidecar/http2/hpack/field.js';
import { StableList } from '../../../../sidecar/http2/hpack/header-list.js';
import { decode, hex, literal, newDecoder } from '../../../kit/http2/hpack-blocks.js';
import { HpackDecoder } from '../../../kit/http2/hpack-lite.js';

/** An encoder and, behind it, the model of a peer. */
class Wire {
  readonly encoder = new Encoder();
  readonly model = new HpackDecoder(MAX_TABLE_BYTES);
  bytes: Buffer = Buffer.alloc(0);

  send(stable: StableList, extras: readonly HeaderField[] = []): string[] {
    const out = Buffer.alloc(this.encoder.bound(stable, extras));
    this.bytes = out.subarray(0, this.encoder.encode(stable, extras, out, 0));
    return this.model.decode(this.bytes).map(([name, value]) => `${name}: ${value}`);
  }

  /** The peer reads the stable fields, then the extras. */
  passes(stable: StableList, extras: readonly HeaderField[] = []): void {
    assert.deepEqual(this.send(stable, extras), lines([...stable.toFields(), ...extras]));
  }

  setTable(bytes: number): void {
    this.encoder.setMaxTableBytes(bytes);
    this.model.maxTableBytes = bytes;
  }
}

function lines(fields: readonly HeaderField[]): string[] {
  return fields.map((field) => `${field.name}: ${field.value}`);
}

const EMPTY = StableList.of([]);
const POST = makeField(':method', 'POST');
const PATH = makeField(':path', '/package.Service/Method');
const TE = makeField('te', 'trailers');
const REQUEST = StableList.of([POST, PATH, TE]);

describe('an encoder with the same list again', () => {
  it('writes indexes only, from the second time, and the same bytes from then on', () => {
    const wire = new Wire();
    wire.passes(REQUEST);
    for (let round = 0; round < 2; round++) {
      wire.passes(REQUEST);
      assert.equal(wire.bytes.toString('hex'), '83bfbe');
    }
    assert.equal(wire.encoder.usage.memos, 1);
  });

  it('is not misled by later insertions', () => {
    const wire = new Wire();
    for (let round = 0; round < 3; round++) wire.send(REQUEST);
    const other = StableList.of([POST, makeField('x-tenant', 'a')]);
    for (let round = 0; round < 3; round++) {
      wire.passes(other);
      wire.passes(REQUEST);
    }
    assert.equal(wire.bytes.toString('hex'), '83c0bf');
  });

  it('is not misled by names inserted for extras', () => {
    const wire = new Wire();
    for (let round = 0; round < 3; round++) wire.send(REQUEST);
    for (const timeout of ['1S', '2S', '3S']) {
      const extras = [makeField('grpc-timeout', timeout)];
      wire.passes(REQUEST, extras);
    }
    assert.equal(wire.bytes.toString('hex'), '83c0bf0f2f023353');
  });

  it('does not keep the encoding of a field seen only once', () => {
    const wire = new Wire();
    const decoder = newDecoder();
    const bytes = literal({ name: 4, value: '/seen.Once/Method' });
    const list = decode(decoder, bytes).stable;
    for (let round = 0; round < 3; round++) assert.deepEqual(wire.send(list), [':path: /seen.Once/Method']);
    assert.equal(wire.model.table.entries.length, 0);
    assert.equal(decode(decoder, bytes).stable, list);
    wire.send(list);
    wire.send(list);
    assert.equal(wire.bytes.toString('hex'), 'be');
  });

  it('writes a large number of lists in turn, each correctly', () => {
    const wire = new Wire();
    const lists = Array.from({ length: 500 }, (_, at) =>
      StableList.of([POST, makeField('x-shard', `number ${at}`)]),
    );
    for (let round = 0; round < 4; round++) for (const list of lists) wire.passes(list);
    assert.ok(wire.encoder.usage.memoBytes <= 131_072);
  });
});

describe('an encoder whose table is full', () => {
  const lists = Array.from({ length: 200 }, (_, at) => StableList.of([makeField('x-shard', `number ${at}`)]));

  it('evicts no entry that it still uses, and restarts after enough misses', () => {
    const wire = new Wire();
    for (const list of lists) wire.send(list);
    const full = wire.encoder.usage;
    assert.ok(full.tableBytes <= MAX_TABLE_BYTES && full.tableBytes > MAX_TABLE_BYTES - 60);
    const late = lists.at(-1)!;
    wire.send(late);
    assert.ok(wire.bytes.length > 2, 'a literal, for want of room');
    let sent = 0;
    while (wire.encoder.usage.entries >= full.entries) {
      wire.passes(late);
      assert.ok(++sent <= MISSES_BEFORE_RESTART);
    }
    for (let round = 0; round < 2; round++) wire.passes(late);
    assert.equal(wire.bytes.toString('hex'), 'be');
    for (const list of lists) wire.passes(list);
    wire.passes(late);
  });

  it('does not count fields that no table could hold as misses', () => {
    const wire = new Wire();
    const list = StableList.of([PATH, makeField('x-large', 'l'.repeat(5000))]);
    wire.passes(list);
    const out = Buffer.alloc(wire.encoder.bound(list, []));
    for (let round = 0; round < MISSES_BEFORE_RESTART + 10; round++) wire.encoder.encode(list, [], out, 0);
    assert.equal(wire.encoder.usage.entries, 1);
    wire.passes(list);
  });
});

describe('an encoder whose peer changes the size of the table', () => {
  it('announces nothing while the size it uses stays the same', () => {
    const wire = new Wire();
    wire.setTable(65_536);
    wire.setTable(4096);
    wire.send(REQUEST);
    assert.deepEqual(wire.model.updates, []);
  });

  it('announces a smaller size, and uses no more', () => {
    const wire = new Wire();
    for (let round = 0; round < 3; round++) wire.send(REQUEST);
    wire.setTable(60);
    wire.passes(REQUEST);
    assert.deepEqual(wire.model.updates, [60]);
    assert.ok(wire.model.table.bytes <= 60);
    wire.passes(REQUEST);
    assert.deepEqual(wire.model.updates, []);
  });

  it('announces the smallest and the last of several', () => {
    const wire = new Wire();
    for (const bytes of [1000, 0, 200, 3000]) wire.setTable(bytes);
    wire.send(REQUEST);
    assert.deepEqual(wire.model.updates, [0, 3000]);
    for (let round = 0; round < 3; round++) wire.passes(REQUEST);
    assert.equal(wire.bytes.length, 3);
  });

  it('announces a larger size before it uses it', () => {
    const wire = new Wire();
    wire.setTable(0);
    wire.send(REQUEST);
    wire.setTable(8192);
    wire.send(REQUEST);
    assert.deepEqual(wire.model.updates, [4096]);
    wire.send(REQUEST);
    assert.equal(wire.bytes.length, 3);
  });

  it('works with a table of size 0', () => {
    const wire = new Wire();
    wire.setTable(0);
    const extras = [makeField('grpc-timeout', '1S')];
    for (let round = 0; round < 4; round++) wire.passes(REQUEST, extras);
    assert.equal(wire.model.table.entries.length, 0);
  });
});

describe('the extras of a block', () => {
  it('are written without indexing, never-indexed ones as such, in the stable list too', () => {
    const wire = new Wire();
    const secret = makeField('x-secret', 'a', true);
    for (let round = 0; round < 3; round++) {
      const basic = makeField('authorization', 'Basic x', true);
      wire.send(StableList.of([secret]), [secret, makeField('cookie', 'c=1'), basic]);
      const secrets = wire.model.secrets.map((field) => field.join('='));
      assert.deepEqual(secrets, ['x-secret=a', 'x-secret=a', 'authorization=Basic x']);
    }
    assert.equal(wire.model.table.entries.length, 0);
  });

  it('have pseudo-headers before every regular field', () => {
    const wire = new Wire();
    const long = makeField(':path', `/${'p'.repeat(300)}`);
    const trace = makeField('traceparent', '00-1');
    assert.deepEqual(wire.send(StableList.of([POST, TE]), [long, trace]), lines([long, POST, TE, trace]));
  });

  it('pass on the encoded bytes of a value, unless they are longer than the value', () => {
    const wire = new Wire();
    const decoder = newDecoder();
    for (const huffman of [true, false]) {
      const bytes = literal({ name: 32, value: 'session=0123456789', huffman });
      wire.send(EMPTY, decode(decoder, bytes).extras);
      assert.equal(wire.bytes.toString('hex'), bytes.toString('hex'));
    }
    const padded = literal({ name: 'cookie', value: '\x01\x02\x03', huffman: true });
    assert.deepEqual(wire.send(EMPTY, decode(decoder, padded).extras), ['cookie: \x01\x02\x03']);
    assert.equal(wire.bytes.toString('hex'), '0f1103010203');
  });

  it('name what sidecars tell each other with every call by the table, whatever its value', () => {
    const wire = new Wire();
    for (const name of [MetadataKey.deadline, MetadataKey.queueTime]) {
      wire.send(EMPTY, [makeField(name, '1')]);
      wire.send(EMPTY, [makeField(name, '2')]);
      assert.ok(wire.bytes.length <= 4, `${name}: ${wire.bytes.length} bytes`);
    }
  });

  it('are coded the same every time a constant is sent', () => {
    const wire = new Wire();
    for (const value of ['constant value', '\x01\x02', '']) {
      const constant = makeField('cookie', value);
      const sent = new Set<string>();
      for (let round = 0; round < 4; round++) {
        wire.passes(EMPTY, [constant]);
        sent.add(wire.bytes.toString('hex'));
      }
      assert.equal(sent.size, 1);
    }
  });

  it('of names that calls carry take one table entry each, and the index of its name', () => {
    const wire = new Wire();
    for (const id of ['a', 'b', 'c']) {
      const trace = makeField('traceparent', `00-${id}`);
      wire.passes(EMPTY, [trace, makeField('x-request-id', id), makeField('baggage', `k=${id}`)]);
    }
    const names = wire.model.table.entries.map(([name]) => name);
    assert.deepEqual(names, ['x-request-id', 'traceparent']);
  });
});

describe('an empty block', () => {
  it('is no bytes, or the update that is due', () => {
    const wire = new Wire();
    assert.deepEqual(wire.send(EMPTY), []);
    assert.equal(wire.bytes.length, 0);
    wire.setTable(0);
    wire.send(EMPTY);
    assert.deepEqual(wire.bytes, hex('20'));
    assert.equal(decode(newDecoder(), Buffer.alloc(0)).count, 0);
  });
});
