// Identity of lists, and the bounds on everything that outlives a block: hostile input must not make it grow.

import assert from 'node:assert/strict';
import v8 from 'node:v8';
import vm from 'node:vm';
import { Encoder } from '../../../../sidecar/http2/hpack/encoder.js';
import { makeField } from '../../../../sidecar/http2/hpack/field.js';
import { ByteCache, fieldCache, nameCache } from '../../../../sidecar/http2/hpack/field-cache.js';
import { MAX_TRIE_NODES, StableList } from '../../../../sidecar/http2/hpack/header-list.js';
import { decode, literal, newDecoder } from '../../../kit/http2/hpack-blocks.js';

const A = makeField('x-a', '1');
const B = makeField('x-b', '2');
const C = makeField('x-c', '3');

describe('a stable list', () => {
  it('is one object for one sequence of fields', () => {
    const list = StableList.of([A, B]);
    assert.equal(StableList.of([A, B]), list);
    assert.equal(StableList.of([A, C]), StableList.of([A, C]));
    assert.equal(StableList.of([A, B]), list);
    assert.notEqual(StableList.of([B, A]), list);
    assert.equal(list.with(C), StableList.of([A, B, C]));
    assert.equal(list.with(C).parent, list);
  });

  it('knows its fields, their number and their size', () => {
    const list = StableList.of([A, B, A]);
    assert.deepEqual(list.toFields(), [A, B, A]);
    assert.equal(list.toFields(), list.toFields());
    assert.equal(list.count, 3);
    assert.equal(list.bytes, A.size * 2 + B.size);
    assert.equal(StableList.root().count, 0);
    assert.deepEqual(StableList.root().toFields(), []);
  });

  it('has empty slots for memos', () => {
    const list = StableList.of([C, makeField('x-unique', 'slots')]);
    assert.deepEqual([list.view, list.slot], [null, null]);
  });
});

describe('the trie of lists', () => {
  it('begins anew when it is full, and old lists keep working without keeping it alive', () => {
    const old = StableList.of([A, B]);
    const oldRoot = old.parent!.parent!;
    const before = StableList.root();
    for (let at = 0; StableList.root() === before; at++) {
      assert.ok(at <= MAX_TRIE_NODES);
      StableList.root().with(makeField('x-fill', `${at}`));
    }
    assert.notEqual(oldRoot, StableList.root());
    const again = StableList.of([A, B]);
    assert.notEqual(again, old);
    assert.deepEqual(again.toFields(), old.toFields());
    assert.notEqual(old.with(C), old.with(C), 'nothing is added to a trie that was given up');
    assert.deepEqual(old.with(C).toFields(), [A, B, C]);
    assert.equal(StableList.of([A, B]), again);
  });

  it('frees earlier lists', async () => {
    const registry: WeakRef<StableList>[] = [];
    (() => {
      for (let at = 0; at < 50; at++)
        registry.push(new WeakRef(StableList.of([A, makeField('x-weak', `${at}`)])));
    })();
    const root = StableList.root();
    for (let at = 0; StableList.root() === root; at++) root.with(makeField('x-fill', `again ${at}`));
    await collect();
    const alive = registry.filter((ref) => ref.deref() !== undefined).length;
    assert.ok(alive <= 1, `${alive} alive`);
  });
});

describe('hostile input', () => {
  it('keeps the caches, the trie and the tables within their bounds', async () => {
    const decoder = newDecoder({ maxListBytes: 16_384, maxFields: 100 });
    const encoder = new Encoder();
    const out = Buffer.alloc(65_536);
    let serial = 0;
    const flood = (blocks: number) => {
      for (let block = 0; block < blocks; block++) {
        const parts = [literal({ name: ':path', value: `/${serial}/${'p'.repeat(200)}` })];
        for (let field = 0; field < 20; field++) {
          serial++;
          const [name, value] = [`x-${serial % 7000}`, `${serial} ${'v'.repeat(200)}`];
          const one = literal({
            first: field % 2 === 0 ? 0x40 : 0x00,
            name,
            value,
            huffman: field % 3 === 0,
          });
          parts.push(one, one);
        }
        for (let round = 0; round < 2; round++) {
          const got = decode(decoder, ...parts);
          encoder.encode(got.stable, got.extras, out, 0);
        }
      }
    };
    flood(250);
    await collect();
    const before = process.memoryUsage();
    flood(500);
    await collect();
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    assert.ok(grown < 3_000_000, `${grown} bytes more`);
    assert.ok(fieldCache.size <= 4096);
    assert.ok(nameCache.size <= 512);
    assert.ok(decoder.table.bytes <= 4096);
    assert.ok(encoder.usage.memoBytes <= 131_072);
    assert.ok(encoder.usage.tableBytes <= 4096);
  }).timeout(20_000);

  // A cache of its own, of the size of the process’s: what other tests left in that one would have its say.
  const asking = (): ((path: string) => object) => {
    const cache = new ByteCache<object>(1024);
    return (path) => {
      const bytes = Buffer.from(path);
      const known = cache.find(1, bytes, 0, bytes.length);
      const item = known ?? { path };
      if (known === null) cache.add(1, bytes, 0, bytes.length, item);
      return item;
    };
  };
  const steady = Array.from({ length: 40 }, (_, at) => `/steady/${at}`);
  /** How many of the fields that repeat are still there in the last of 200 rounds, with a hundred others in each. */
  const keptOf = (ask: (path: string) => object, first: readonly object[]): number => {
    let [kept, before] = [0, first];
    for (let round = 0; round < 200; round++) {
      for (let other = 0; other < 100; other++) ask(`/flood/${round}/${other}`);
      const now = steady.map(ask);
      kept = now.filter((item, at) => item === before[at]).length;
      before = now;
    }
    return kept;
  };

  it('does not evict fields that repeat from the cache', () => {
    const ask = asking();
    const first = steady.map(ask);
    assert.equal(keptOf(ask, first), steady.length);
    for (const [at, path] of steady.entries()) assert.equal(ask(path), first[at]);
  });

  it('does not evict them from a cache that was full before they came', () => {
    const ask = asking();
    for (let other = 0; other < 20_000; other++) ask(`/before/${other}`);
    const kept = keptOf(ask, []);
    assert.ok(kept >= 38, `${kept} of 40 kept`);
  });

  it('never puts a secret into the cache', () => {
    const decoder = newDecoder();
    const before = fieldCache.size;
    for (const name of ['authorization', 'cookie', 'set-cookie', 'proxy-authorization', 'x-other']) {
      const first = name === 'x-other' ? 0x10 : 0x40;
      for (let round = 0; round < 3; round++)
        decode(decoder, literal({ first, name, value: `secret ${name}` }));
    }
    assert.equal(fieldCache.size, before);
  });
});

describe('a decoder between two blocks', () => {
  it('holds none of the fields that vary', async () => {
    const decoder = newDecoder();
    const bytes = literal({ name: 'authorization', value: 'Bearer of a secret', huffman: true });
    const held = (() => new WeakRef(decode(decoder, bytes).extras[0]!))();
    await collect();
    assert.deepEqual([held.deref(), decode(decoder, bytes).extras.length], [undefined, 1]);
  });
});

/** A full collection, for which the command that runs the tests needs no flag. */
async function collect(): Promise<void> {
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc') as () => void;
  // WeakRefs hold their targets until the turn ends.
  for (let pass = 0; pass < 2; pass++) {
    await new Promise((resolve) => setImmediate(resolve));
    gc();
  }
}
