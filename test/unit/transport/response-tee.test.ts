import assert from 'node:assert/strict';
import { MemoryBudget } from '../../../sidecar/transport/memory-budget.js';
import { ResponseTee } from '../../../sidecar/transport/response-tee.js';
import { kept } from '../../kit/service/infer-requests.js';

const MIB = 1024 * 1024;
/** A read, as a socket that reads in bulk gets it. */
const READ = Buffer.allocUnsafeSlow(64 * 1024).fill('r');

describe('A response that is kept while it is passed on', () => {
  const start = (maxBytes: number, limit = 32 * MIB) => {
    const memory = new MemoryBudget(limit);
    const tee = new ResponseTee(memory, maxBytes);
    tee.begin(kept(Buffer.from(READ), READ.length));
    return { memory, tee };
  };
  const add = (tee: ResponseTee, times: number): void => {
    for (let i = 0; i < times; i++) tee.add(READ, 0, READ.length);
  };

  it('is what was held and what came after it, not copied', () => {
    const { memory, tee } = start(4 * MIB);
    add(tee, 3);
    assert.equal(tee.response!.bytes, 4 * READ.length);
    assert.equal(tee.response!.at(3).buffer, READ);
    assert.ok(memory.held >= 4 * READ.length && memory.held < 5 * READ.length);
    tee.release();
    assert.deepEqual([memory.held, tee.response, tee.missing], [0, null, '']);
  });

  it('is let go of at once when it is too large', () => {
    const { memory, tee } = start(2 * READ.length);
    assert.equal(tee.keepRequest(kept(READ)), true);
    add(tee, 1);
    assert.notEqual(tee.response, null);
    add(tee, 1);
    assert.deepEqual([memory.held, tee.response, tee.request, tee.missing], [0, null, null, 'too-large']);
    add(tee, 1);
    assert.equal(memory.held, 0);
  });

  it('is too large from the beginning where nothing may be kept', () => {
    const { memory, tee } = start(0);
    assert.deepEqual([memory.held, tee.missing], [0, 'too-large']);
  });

  it('is let go of when half of the budget is in use, as the rest is for calls', () => {
    const { memory, tee } = start(4 * MIB, 512 * 1024);
    add(tee, 2);
    assert.equal(tee.missing, '');
    add(tee, 1);
    assert.deepEqual([memory.held, tee.missing], [0, 'memory']);
    assert.equal(memory.reserve(memory.limit), true, 'calls have all of it');
  });

  it('is paid for by its reader once that has taken it over', () => {
    const { memory, tee } = start(4 * MIB);
    const bytes = tee.handOver();
    tee.release();
    assert.equal(memory.held, bytes);
    memory.release(bytes);
    assert.equal(memory.held, 0);
  });
});
