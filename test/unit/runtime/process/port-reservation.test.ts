import assert from 'node:assert/strict';
import { reservePort } from '../../../../sidecar/runtime/process/port-reservation.js';

describe('a reservation of a port', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip();
  });

  /** No TCP port has this number, so that no other test reserves it. */
  const port = 100_000 + process.pid;

  it('is one at a time, and ends with its release', async () => {
    const first = await reservePort('127.0.0.1', port);
    assert.ok(first);
    assert.equal(await reservePort('127.0.0.1', port), undefined);
    const elsewhere = [await reservePort('127.0.0.2', port), await reservePort('127.0.0.1', port + 1)];
    assert.ok(elsewhere.every((each) => each !== undefined));
    first.release();
    const again = await reservePort('127.0.0.1', port);
    assert.ok(again);
    for (const each of [again, ...elsewhere]) each?.release();
  });
});
