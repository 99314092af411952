import assert from 'node:assert/strict';
import { MAX_FINGERPRINTS, PoisonTable, REMEMBERED_MS } from '../../../../sidecar/core/retry/poison-table.js';

const request = (fingerprint: string, bytes = 10) => ({ fingerprint, upstream: 'u', bytes });

describe('Requests that crash models', () => {
  let table: PoisonTable;
  beforeEach(() => {
    table = new PoisonTable();
  });

  it('are refused after the second crash, for ten minutes', () => {
    table.crashed(request('p'), 0, 10);
    assert.deepEqual([table.isRefused('p', 20), table.isRefusing(20), table.size], [false, false, 1]);
    table.crashed(request('p'), 20, 30);
    const refused = ['p', 'q'].map((fingerprint) => table.isRefused(fingerprint, 40));
    assert.deepEqual([...refused, table.isRefusing(40)], [true, false, true]);
    const later = [30 + REMEMBERED_MS - 1, 30 + REMEMBERED_MS].map((nowMs) => table.isRefused('p', nowMs));
    assert.deepEqual(later, [true, false]);
    assert.deepEqual([table.size, table.isRefusing(30 + REMEMBERED_MS)], [0, false]);
  });

  it('are not refused after two crashes that are longer apart', () => {
    table.crashed(request('p'), 0, 10);
    table.crashed(request('p'), REMEMBERED_MS, REMEMBERED_MS + 10);
    assert.equal(table.isRefused('p', REMEMBERED_MS + 20), false);
  });

  it('count one crash, however many copies ran in it', () => {
    for (const startedMs of [0, 3, 9, 10]) table.crashed(request('p'), startedMs, 10);
    assert.equal(table.isRefused('p', 20), false);
  });

  it('are no longer counted after a response', () => {
    table.crashed(request('p'), 0, 10);
    table.answered('p');
    table.crashed(request('p'), 20, 30);
    assert.equal(table.isRefused('p', 40), false);
    table.crashed(request('p'), 40, 50);
    table.answered('p');
    assert.deepEqual([table.size, table.isRefusing(60)], [0, false]);
  });

  it('are bounded in number; refused ones are dropped last', () => {
    for (const startedMs of [0, 2]) table.crashed(request('bad'), startedMs, startedMs + 1);
    for (let i = 0; i < 3 * MAX_FINGERPRINTS; i++) table.crashed(request(`${i}`), 10, 20);
    assert.deepEqual([table.size, table.isRefused('bad', 30)], [MAX_FINGERPRINTS, true]);
    const refused = new PoisonTable();
    for (let i = 0; i < 2 * MAX_FINGERPRINTS; i++)
      for (const startedMs of [i, i + 0.5]) refused.crashed(request(`${i}`), startedMs, startedMs + 0.1);
    assert.equal(refused.size, MAX_FINGERPRINTS);
    assert.equal(refused.isRefused(`${2 * MAX_FINGERPRINTS - 1}`, 3 * MAX_FINGERPRINTS), true);
    assert.equal(refused.list(3 * MAX_FINGERPRINTS).length, MAX_FINGERPRINTS);
  });

  it('are looked up by size first', () => {
    table.crashed(request('p', 10), 0, 10);
    assert.ok(table.mayHaveRecord('u', 10));
    assert.ok(!table.mayHaveRecord('u', 11) && !table.mayHaveRecord('v', 10));
  });
});
