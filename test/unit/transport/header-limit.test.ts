import assert from 'node:assert/strict';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import { listBytes, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import { fitTrailers } from '../../../sidecar/transport/header-limit.js';

type Pairs = readonly (readonly [string, string])[];

/** What is left of these fields, of which the first `stable` repeat, for a peer that accepts `maxBytes`. */
function fitted(pairs: Pairs, maxBytes: number, stable = 1): string[] {
  const fields = pairs.map(([name, value]) => makeField(name, value));
  const { list, extras } = fitTrailers(
    { list: StableList.of(fields.slice(0, stable)), extras: fields.slice(stable) },
    maxBytes,
  );
  assert.ok(listBytes(list, extras) <= maxBytes || maxBytes === 0);
  return [...list.toFields(), ...extras].map(({ name, value }) =>
    value.length > 20 ? `${name} of ${value.length}` : `${name} ${value}`,
  );
}

const STATUS = ['grpc-status', '5'] as const;
const LONG = ['grpc-message', 'm'.repeat(20_000)] as const;

describe('the end of an answer for a peer that accepts so much', () => {
  it('is the same where it fits', () => {
    const list = StableList.of([makeField(...STATUS)]);
    const extras = [makeField(...LONG)];
    const all = { list, extras };
    assert.equal(fitTrailers(all, listBytes(list, extras)).extras, extras);
    assert.notEqual(fitTrailers(all, listBytes(list, extras) - 1).extras, extras);
  });

  it('has its message cut to what fits into half of that, and all else', () => {
    const kept = fitted([STATUS, LONG, ['x-a', '1']], 16_384);
    assert.deepEqual(kept, ['grpc-status 5', 'x-a 1', `grpc-message of ${8192 - 44 - 36 - 44}`]);
  });

  it('loses details before other metadata, and that before what says how it ended', () => {
    const details = (bytes: number) => ['grpc-status-details-bin', 'A'.repeat(bytes)] as const;
    assert.deepEqual(fitted([STATUS, LONG, details(1000)], 8192), [
      'grpc-status 5',
      'grpc-status-details-bin of 1000',
      `grpc-message of ${4096 - 44 - 1055 - 44}`,
    ]);
    assert.deepEqual(fitted([STATUS, LONG, details(5000), ['x-a', '1']], 8192), [
      'grpc-status 5',
      'x-a 1',
      `grpc-message of ${4096 - 44 - 36 - 44}`,
    ]);
    const own = ['outrider-reason', 'overloaded'] as const;
    assert.deepEqual(fitted([STATUS, ['x-a', 'b'.repeat(5000)], LONG, own], 8192), [
      'grpc-status 5',
      'outrider-reason overloaded',
      `grpc-message of ${4096 - 44 - 57 - 44}`,
    ]);
  });

  it('has its status once where it repeats that beyond the limit', () => {
    const repeated = new Array<typeof STATUS>(1000).fill(STATUS);
    assert.deepEqual(
      fitted([[':status', '200'], ...repeated, ['outrider-reason', 'overloaded']], 8192, 1000),
      [':status 200', 'grpc-status 5', 'outrider-reason overloaded'],
    );
  });

  it('has nothing that is too long by itself, whatever it says', () => {
    const type = ['content-type', 'c'.repeat(9000)] as const;
    assert.deepEqual(fitted([[':status', '200'], type, STATUS], 8192), [':status 200', 'grpc-status 5']);
    assert.deepEqual(fitted([['grpc-status', '5'.repeat(9000)]], 8192), []);
  });

  it('keeps the status of a peer that accepts next to nothing', () => {
    assert.deepEqual(fitted([[':status', '200'], STATUS, LONG], 0, 2), [':status 200', 'grpc-status 5']);
  });
});
