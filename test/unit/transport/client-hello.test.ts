import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClientHello, MAX_HELLO_BYTES } from '../../../sidecar/transport/client-hello.js';

/** A handshake message in records of these sizes, the last of which takes the rest. */
function records(message: Buffer, sizes: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < message.length; i++) {
    const n = Math.min(sizes[i] ?? message.length, message.length - at);
    parts.push(Buffer.from([0x16, 3, 1, n >> 8, n & 255]), message.subarray(at, at + n));
    at += n;
  }
  return Buffer.concat(parts);
}

function hello(bytes: number, type = 1): Buffer {
  return Buffer.concat([Buffer.from([type, 0, bytes >> 8, bytes & 255]), Buffer.alloc(bytes, 7)]);
}

/** Reads cut at these places; the state after each. */
function read(all: Buffer, cuts: readonly number[]): { states: string[]; reader: ClientHello } {
  const reader = new ClientHello();
  const places = [...new Set(cuts.map((cut) => cut % (all.length + 1)))].sort((a, b) => a - b);
  const states: string[] = [];
  let at = 0;
  for (const place of [...places, all.length])
    if (place > at && reader.state === 'incomplete') {
      states.push(reader.add(all.subarray(at, place)));
      at = place;
    }
  return { states, reader };
}

describe('a ClientHello', () => {
  it('is complete with its last byte, whatever its records and reads', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 20 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 600 }), sizes, fc.array(fc.nat(2000)), (bytes, cuts, reads) => {
        const all = records(hello(bytes), cuts);
        const { states, reader } = read(all, reads);
        assert.equal(states.pop(), 'complete');
        assert.ok(states.every((state) => state === 'incomplete'));
        assert.deepEqual(reader.read, all);
        assert.equal(read(all.subarray(0, -1), reads).reader.state, 'incomplete');
      }),
    );
  });

  it('is complete with bytes behind it', () => {
    const all = Buffer.concat([records(hello(300), []), Buffer.alloc(1000)]);
    assert.equal(new ClientHello().add(all), 'complete');
  });

  it('is none where the record, its version or the message is another', () => {
    const right = records(hello(10), []);
    for (const [at, value] of [
      [0, 23],
      [0, 0x80],
      [1, 2],
      [5, 2],
    ] as const) {
      const wrong = Buffer.from(right);
      wrong[at] = value;
      const reader = new ClientHello();
      for (const byte of wrong) if (reader.state === 'incomplete') reader.add(Buffer.from([byte]));
      assert.equal(reader.state, 'no-hello', `${at}`);
      assert.equal(reader.length, at + 1);
    }
    assert.equal(new ClientHello().add(Buffer.from('PRI * HTTP/2.0')), 'no-hello');
    assert.equal(new ClientHello().add(Buffer.from([0x16, 3, 1, 0, 0])), 'no-hello');
  });

  it('is none beyond 16 KiB, and holds about as much as has come', () => {
    assert.equal(new ClientHello().add(records(hello(MAX_HELLO_BYTES), []).subarray(0, 100)), 'no-hello');
    const reader = new ClientHello();
    const small = records(hello(MAX_HELLO_BYTES - 4), Array<number>(MAX_HELLO_BYTES).fill(1));
    for (let at = 0; reader.state === 'incomplete'; at++) reader.add(small.subarray(at, at + 1));
    assert.deepEqual([reader.state, reader.length], ['no-hello', MAX_HELLO_BYTES + 1]);
    assert.ok(reader.heldBytes <= 2 * (MAX_HELLO_BYTES + 1));
  });

  it('is not judged before it has begun', () => {
    assert.equal(new ClientHello().add(Buffer.alloc(0)), 'incomplete');
    assert.equal(new ClientHello().add(Buffer.from([0x16])), 'incomplete');
  });
});
