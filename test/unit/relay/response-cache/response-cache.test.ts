import assert from 'node:assert/strict';
import { makeField } from '../../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../../sidecar/http2/hpack/header-list.js';
import type { Attempt } from '../../../../sidecar/relay/attempt.js';
import {
  type CachedRequest,
  RequestKey,
  WHOLE_BYTES,
} from '../../../../sidecar/relay/response-cache/request-key.js';
import { ResponseCache } from '../../../../sidecar/relay/response-cache/response-cache.js';
import { ENTRY_BYTES } from '../../../../sidecar/relay/response-cache/ring-buffer.js';
import { ChunkList } from '../../../../sidecar/transport/chunk-list.js';

const PATH = '/a.B/C';
const MIB = 1 << 20;

function block(fields: Readonly<Record<string, string>>, extras: Readonly<Record<string, string>> = {}) {
  let list = StableList.root();
  for (const [name, value] of Object.entries(fields)) list = list.with(makeField(name, value));
  const varying = Object.entries(extras).map(([name, value]) => makeField(name, value));
  return new HeaderBlock(list, varying, list.bytes, list.count, false, false);
}

const ANSWER = block({ 'content-type': 'application/grpc' });

function pieces(...parts: readonly Buffer[]): ChunkList {
  const all = new ChunkList();
  for (const part of parts) all.add(part, 0, part.length);
  return all;
}

function asked(body: string | ChunkList, original = block({ ':path': PATH })): CachedRequest {
  return { original, buffered: typeof body === 'string' ? pieces(Buffer.from(body)) : body };
}

function answer(...parts: readonly Buffer[]): Attempt {
  return { head: ANSWER, trailers: ANSWER, heldResponse: pieces(...parts) } as unknown as Attempt;
}

/** `n` bytes that differ with `seed`; they repeat after 256. */
function bytes(n: number, seed = 200): Buffer {
  return Buffer.alloc(n, Buffer.from(Array.from({ length: 256 }, (_, i) => (i * 7 + seed) & 255)));
}

/** Whole numbers below `n`, the same each time. */
function seeded(): (n: number) => number {
  let state = 1;
  return (n) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % n;
  };
}

describe('ResponseCache', () => {
  it('a cached response has every byte, whatever its size and its pieces', () => {
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: MIB });
    for (const sizes of [[0], [1], [300], [200, 100], [4095], [4096], [20_000, 30_000]]) {
      const parts = sizes.map((n) => bytes(n));
      cache.store(asked('key'), answer(...parts), 0);
      assert.deepEqual(cache.find(asked('key'), 1)?.body, Buffer.concat(parts));
      assert.equal(cache.size, 1);
    }
  });

  it('a cached response does not change with the buffer that it was read into', () => {
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: MIB });
    for (const size of [100, 5000]) {
      const [question, read] = [bytes(size, 1), bytes(size)];
      cache.store(asked(pieces(question)), answer(read), 0);
      read.fill(0);
      question.fill(0);
      assert.deepEqual(cache.find(asked(pieces(bytes(size, 1))), 0)?.body, bytes(size));
    }
  });

  it('a response that was handed out does not change with later ones', () => {
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: MIB });
    cache.store(asked('key'), answer(bytes(100)), 0);
    const found = cache.find(asked('key'), 0);
    cache.store(asked('key'), answer(bytes(100, 9)), 1);
    assert.deepEqual(found?.body, bytes(100));
    assert.deepEqual(cache.find(asked('key'), 1)?.body, bytes(100, 9));
  });

  it('a response that is too old is not found, and the oldest makes room for a request seen before', () => {
    // Room for four entries, and for many more bytes than those have.
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: 16 * ENTRY_BYTES });
    for (const [i, key] of ['a', 'b', 'c', 'd', 'e'].entries()) cache.store(asked(key), answer(bytes(8)), i);
    assert.equal(cache.find(asked('e'), 5), undefined, 'asked once, it drives out no other');
    cache.store(asked('e'), answer(bytes(8)), 5);
    assert.equal(cache.find(asked('a'), 5), undefined);
    for (const key of ['b', 'c', 'd', 'e']) assert.notEqual(cache.find(asked(key), 5), undefined, key);
    assert.equal(cache.bytes, 4 * (ENTRY_BYTES + PATH.length + 1 + 8));
    assert.equal(cache.find(asked('b'), 1002), undefined);
    assert.equal(cache.size, 3);
  });

  it('new responses replace those that are past half of their life', () => {
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: 16 * ENTRY_BYTES });
    for (let i = 0; i < 4; i++) cache.store(asked(`old ${i}`), answer(bytes(8)), 0);
    cache.store(asked('early'), answer(bytes(8)), 500);
    cache.store(asked('late'), answer(bytes(8)), 501);
    assert.equal(cache.find(asked('early'), 501), undefined);
    assert.notEqual(cache.find(asked('late'), 501), undefined);
  });

  it('a response that is stored again and again stays, though others come and go', () => {
    const cache = new ResponseCache({ maxAgeMs: 1e9, maxBytes: 64 * 1024 });
    for (let i = 0; i < 5000; i++) {
      cache.store(asked(`other ${i}`), answer(bytes(100)), i);
      if (i % 20 === 0) cache.store(asked('often'), answer(bytes(100, i & 255)), i);
      const last = i - (i % 20);
      assert.deepEqual(cache.find(asked('often'), i)?.body, bytes(100, last & 255));
    }
  });

  it('a cache is emptied by other bounds, and kept with the same', () => {
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: MIB });
    cache.store(asked('key'), answer(bytes(8)), 0);
    cache.configure({ maxAgeMs: 1000, maxBytes: MIB });
    assert.notEqual(cache.find(asked('key'), 1), undefined);
    for (const other of [
      { maxAgeMs: 1000, maxBytes: 2 * MIB },
      { maxAgeMs: 500, maxBytes: 2 * MIB },
      { maxAgeMs: 500, maxBytes: 2 * MIB, vary: [] },
      { maxAgeMs: 500, maxBytes: 2 * MIB, vary: ['x-api-key'] },
    ]) {
      cache.store(asked('key'), answer(bytes(8)), 2);
      cache.configure(other);
      assert.deepEqual([cache.size, cache.bytes], [0, 0]);
    }
  });

  it('an empty cache allocates nothing, however large it may become', () => {
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: 16 * 2 ** 30 });
    cache.store(asked('key'), answer(bytes(8)), 0);
    assert.equal(cache.find(asked('key'), 1)?.body.length, 8);
  });

  it('a response larger than the cache is not stored, and the older one is dropped', () => {
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: 64 * 1024 });
    cache.store(asked('key'), answer(bytes(8)), 0);
    cache.store(asked('key'), answer(bytes(60_000)), 1);
    assert.equal(cache.find(asked('key'), 1), undefined);
    assert.deepEqual([cache.size, cache.bytes], [0, 0]);
  });

  for (const [name, maxBytes, largest] of [
    ['of one block', 64 * 1024, 3000],
    ['of several blocks', 4 * MIB, 60_000],
  ] as const) {
    it(`a ring ${name} returns no wrong response, and stays within its bounds`, () => {
      const cache = new ResponseCache({ maxAgeMs: 1e9, maxBytes });
      const random = seeded();
      const expected = new Map<string, Buffer>();
      let found = 0;
      for (let i = 0; i < 4000; i++) {
        // Some of them large enough to be known by their digest.
        const n = random(60);
        const key = n % 7 === 0 ? `${n} `.repeat(WHOLE_BYTES / 2) : `key ${n}`;
        if (random(3) === 0) {
          const hit = cache.find(asked(key), i);
          if (hit === undefined) continue;
          found++;
          assert.deepEqual(hit.body, expected.get(key));
        } else {
          const body = bytes(random(largest), i & 255);
          cache.store(asked(key), answer(body.subarray(0, 40), body.subarray(40)), i);
          expected.set(key, body);
        }
        assert.ok(cache.bytes <= maxBytes && cache.bytes >= cache.size * ENTRY_BYTES);
      }
      assert.ok(found > 100, String(found));
    });
  }

  it('requests of the same hash are told apart', () => {
    const cache = new ResponseCache({ maxAgeMs: 1000, maxBytes: 64 * 1024 });
    const byHash = new Map<number, string>();
    const key = new RequestKey();
    // Among so few bits two are alike soon; the ring itself is asked, so that they are alike in all of them.
    let pair: readonly [string, string] | undefined;
    for (let i = 0; pair === undefined && i < 400_000; i++) {
      const text = i.toString(36);
      key.read(asked(text));
      const other = byHash.get(key.hash);
      if (other === undefined) byHash.set(key.hash, text);
      else pair = [other, text];
    }
    assert.ok(pair !== undefined, 'no two of the same hash');
    cache.store(asked(pair[0]), answer(bytes(1)), 0);
    assert.equal(cache.find(asked(pair[1]), 0), undefined);
    cache.store(asked(pair[1]), answer(bytes(2)), 0);
    assert.deepEqual([cache.find(asked(pair[0]), 0)?.body.length, cache.size], [1, 2]);
  });
});

describe('RequestKey', () => {
  /** Everything by which one request is told from another. */
  function keyOf(request: CachedRequest): string {
    const key = new RequestKey();
    key.read(request);
    return `${key.hash} ${key.text} ${key.body?.whole().toString('latin1')}`;
  }

  it('a request key depends on every byte, and not on how they were split', () => {
    for (const size of [0, 1, 3, 100, WHOLE_BYTES - 1, WHOLE_BYTES, WHOLE_BYTES + 1, 9000]) {
      const body = bytes(size);
      const half = size >> 1;
      const key = keyOf(asked(pieces(body)));
      assert.equal(keyOf(asked(pieces(body.subarray(0, half), body.subarray(half)))), key);
      assert.notEqual(keyOf(asked(pieces(body), block({ ':path': '/a.B/D' }))), key);
      if (size === 0) continue;
      body[size - 1]! ^= 1;
      assert.notEqual(keyOf(asked(pieces(body))), key);
    }
  });

  it('a request key depends on metadata that may tell callers apart', () => {
    const plain = keyOf(asked('x'));
    for (const name of ['authorization', 'grpc-encoding', 'grpc-accept-encoding', 'x-api-key', 'cookie']) {
      const keyWith = (value: string) => keyOf(asked('x', block({ ':path': PATH, [name]: value })));
      assert.notEqual(keyWith('one'), plain, name);
      assert.notEqual(keyWith('one'), keyWith('other'), name);
      assert.equal(keyOf(asked('x', block({ ':path': PATH }, { [name]: 'one' }))), keyWith('one'), name);
    }
  });

  it('a request key does not depend on tracing, timing, or what the endpoint does not see', () => {
    const plain = keyOf(asked('x'));
    const pseudo = { ':method': 'POST', ':scheme': 'http', ':path': PATH, ':authority': 'a' };
    const tracing = { traceparent: 't', 'grpc-timeout': '1S', 'x-request-id': '1', b3: '0' };
    const stable = { ...pseudo, 'user-agent': 'u', te: 'trailers' };
    const others = block(stable, { ...tracing, 'outrider-accept-degraded': 'yes' });
    assert.equal(keyOf(asked('x', others)), plain);
  });

  it('a request key depends on the order of values, and not on that of names', () => {
    const listed = (...fields: readonly (readonly [string, string])[]): string => {
      let list = StableList.root().with(makeField(':path', PATH));
      for (const [name, value] of fields) list = list.with(makeField(name, value));
      return keyOf(asked('x', new HeaderBlock(list, [], list.bytes, list.count, false, false)));
    };
    assert.equal(listed(['a', '1'], ['b', '2']), listed(['b', '2'], ['a', '1']));
    assert.notEqual(listed(['a', '1'], ['a', '2']), listed(['a', '2'], ['a', '1']));
    assert.notEqual(listed(['a', '1'], ['a', '2']), listed(['a', '1a:1:2']));
    assert.notEqual(listed(['a', ''], ['b', '1']), listed(['a', '1'], ['b', '']));
    assert.notEqual(listed(['a', '1']), listed(['a', '1'], ['a', '1']));
  });

  it('a request key depends on the metadata in `vary`, and on the encoding', () => {
    const varied = (fields: Readonly<Record<string, string>>): string => {
      const key = new RequestKey(['x-tenant', 'traceparent']);
      key.read(asked('x', block({ ':path': PATH }, fields)));
      return key.text;
    };
    assert.equal(varied({ authorization: 'a', 'x-api-key': 'b' }), varied({}));
    for (const name of ['x-tenant', 'traceparent', 'grpc-encoding', 'content-type'])
      assert.notEqual(varied({ [name]: 'one' }), varied({ [name]: 'two' }), name);
  });

  it('a request key contains no credential', () => {
    const key = new RequestKey();
    for (const name of ['authorization', 'x-api-key', 'cookie']) {
      key.read(asked('x', block({ ':path': PATH, [name]: 'secret' })));
      assert.ok(!key.text.includes('secret'));
      key.read(asked('x', block({ ':path': PATH }, { [name]: 'secret' })));
      assert.ok(!key.text.includes('secret'));
    }
  });

  it('requests with the same header list and different fields have different keys', () => {
    const key = new RequestKey();
    const [stable, long] = [block({ ':method': 'POST' }).stable, '/a.B/'.padEnd(300, 'C')];
    for (const path of [long, `${long}D`]) {
      const original = new HeaderBlock(stable, [makeField(':path', path)], 0, 2, false, false);
      key.read(asked('x', original));
      assert.ok(key.text.startsWith(path) && key.text.length === path.length);
    }
  });
});
