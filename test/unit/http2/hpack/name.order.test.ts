// Which fields of a block end up in the stable list, and which beside it.

import assert from 'node:assert/strict';
import type { HeaderField } from '../../../../sidecar/http2/hpack/field.js';
import { MAX_STABLE_VALUES } from '../../../../sidecar/http2/hpack/name.js';
import {
  decode,
  fieldsOf,
  hex,
  literal,
  newDecoder,
  pair,
  pairsOf,
} from '../../../kit/http2/hpack-blocks.js';

const plain = (name: string, value: string): Buffer => literal({ name, value });

function lines(fields: readonly HeaderField[]): string[] {
  return fields.map(({ name, value }) => `${name}: ${value}`);
}

let unique = 0;
function fresh(name: string): string {
  return `${name}-${++unique}`;
}

describe('fields that are stable from the first time', () => {
  it('are pseudo-headers and the stable names of gRPC', () => {
    const steady = Object.entries({
      ...{ ':method': 'POST', ':path': `/${fresh('service')}/Method`, ':authority': fresh('host') },
      ...{ te: 'trailers', 'content-type': 'application/grpc+proto', 'user-agent': fresh('agent') },
      ...{ 'grpc-encoding': 'identity', 'grpc-accept-encoding': 'identity,gzip' },
      ...{ 'grpc-status': '0', 'grpc-message': '' },
    });
    const block = decode(newDecoder(), ...steady.map(([name, value]) => plain(name, value)));
    assert.deepEqual(block.stable.toFields().map(pair), steady);
    assert.deepEqual(block.extras, []);
  });

  it('give the same list each time, whichever way they are represented', () => {
    const path = `/${fresh('service')}/Method`;
    const decoder = newDecoder();
    const first = decode(decoder, hex('83'), literal({ first: 0x40, name: 4, value: path }));
    const second = decode(decoder, hex('83be'));
    const third = decode(newDecoder(), hex('83'), literal({ name: 4, value: path }));
    const fourth = decode(newDecoder(), plain(':method', 'POST'), plain(':path', path));
    for (const { stable } of [second, third, fourth]) assert.equal(stable, first.stable);
    assert.equal(second, third, 'a block without extras is one object');
  });
});

describe('fields that vary', () => {
  it('are always extras, however often they come', () => {
    const names = (
      'grpc-timeout traceparent tracestate baggage authorization cookie x-request-id content-length ' +
      'grpc-previous-rpc-attempts date'
    ).split(' ');
    const decoder = newDecoder();
    for (const name of names) {
      const bytes = literal({ first: 0x40, name, value: 'same' });
      for (let round = 0; round < 3; round++)
        assert.deepEqual(pairsOf(decode(decoder, bytes)), [[name, 'same']]);
      assert.equal(decode(decoder, hex('be')).stable.count, 0);
      assert.equal(decode(decoder, hex('be')).extras.length, 1);
    }
  });

  it('are values of more than 256 bytes, even of stable names, and names of more than 64', () => {
    const decoder = newDecoder();
    const long = plain('user-agent', 'u'.repeat(257));
    const named = plain('x'.repeat(65), '1');
    for (let round = 0; round < 3; round++) {
      assert.deepEqual([decode(decoder, long).extras.length, decode(decoder, named).extras.length], [1, 1]);
    }
    const kept = plain('user-agent', 'u'.repeat(256));
    assert.equal(decode(decoder, kept).stable.count, 1);
  });

  it('are grpc-messages that are not empty', () => {
    const decoder = newDecoder();
    for (let round = 0; round < 3; round++)
      assert.equal(decode(decoder, plain('grpc-message', 'why')).extras.length, 1);
  });
});

describe('other fields', () => {
  it('are extras the first time and stable from the second', () => {
    const decoder = newDecoder();
    const bytes = plain(fresh('x-tenant'), 'a');
    assert.deepEqual([decode(decoder, bytes).extras.length, decode(decoder, bytes).stable.count], [1, 1]);
    assert.equal(decode(newDecoder(), bytes).stable.count, 1, 'also on another connection');
  });

  it('are counted when they come by index too', () => {
    const decoder = newDecoder();
    const bytes = literal({ first: 0x40, name: fresh('x-tenant'), value: 'a' });
    assert.equal(decode(decoder, bytes).extras.length, 1);
    assert.equal(decode(decoder, hex('be')).stable.count, 1);
  });

  it('keep the order of their name: after an extra of it follow only extras', () => {
    const decoder = newDecoder();
    const name = fresh('x-hop');
    for (let round = 0; round < 2; round++) decode(decoder, plain(name, 'known'));
    const [known, other] = [plain(name, 'known'), plain(name, 'new')];
    const block = decode(decoder, known, other, known, plain('te', 'trailers'));
    assert.deepEqual(lines(block.stable.toFields()), [`${name}: known`, 'te: trailers']);
    assert.deepEqual(lines(block.extras), [`${name}: new`, `${name}: known`]);
  });

  it('vary once their name has had too many stable values, still in order', () => {
    const decoder = newDecoder();
    const name = fresh('x-user');
    for (let user = 0; user < MAX_STABLE_VALUES; user++) {
      decode(decoder, plain(name, `${user}`));
      const { stable } = decode(decoder, plain(name, `${user}`));
      assert.deepEqual(lines(stable.toFields()), [`${name}: ${user}`]);
    }
    for (let round = 0; round < 4; round++) {
      const block = decode(decoder, ...['a', '1', 'b'].map((value) => plain(name, value)));
      assert.deepEqual(lines(fieldsOf(block)), [`${name}: a`, `${name}: 1`, `${name}: b`]);
    }
    for (let round = 0; round < 3; round++)
      assert.equal(decode(decoder, plain(name, 'another')).stable.count, 0);
  });
});

describe('a pseudo-header after a regular field', () => {
  const path = literal({ name: 4, value: '/late/Path' });
  const long = literal({ name: 4, value: `/${'p'.repeat(300)}` });

  it('is found, whichever of the two is an extra', () => {
    const te = plain('te', 'trailers');
    const trace = plain('traceparent', '00-1');
    for (const [bytes, misordered] of [
      [[te, path], true],
      [[te, long], true],
      [[trace, path], true],
      [[trace, long], true],
      [[hex('83'), trace, hex('86')], true],
      [[path, te], false],
      [[long, te], false],
      [[hex('83'), long, hex('86'), te, trace], false],
      [[trace, te, trace], false],
    ] as const)
      assert.equal(decode(newDecoder(), ...bytes).misordered, misordered);
  });
});
