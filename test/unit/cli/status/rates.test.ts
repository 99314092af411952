import assert from 'node:assert/strict';
import { statusOf } from '../../../../sidecar/admin/status.js';
import { CallRates } from '../../../../sidecar/cli/status/rates.js';
import type { SidecarStatus } from '../../../../sidecar/cli/status/sidecar-table.js';
import { FakeView } from '../../../kit/stack/admin-view.js';

describe('calls per second of sidecars', () => {
  const view = new FakeView();
  const withCalls = (name: string, inbound: number, outbound: number): SidecarStatus => {
    view.callCounts = { inbound, outbound };
    return { name, report: statusOf(view) };
  };

  it('are those between two looks, of both directions', () => {
    const rates = new CallRates();
    assert.deepEqual([...rates.of([withCalls('a', 10, 5)], 1_000)], []);
    assert.deepEqual([...rates.of([withCalls('a', 20, 10)], 3_000)], [['a', 7.5]]);
  });

  it('are not known of a sidecar that started anew, that did not answer, or at the same moment', () => {
    const rates = new CallRates();
    rates.of([withCalls('a', 10, 0), withCalls('b', 10, 0)], 1_000);
    assert.deepEqual([...rates.of([withCalls('a', 2, 0), { name: 'b', problem: 'gone' }], 2_000)], []);
    assert.deepEqual([...rates.of([withCalls('b', 20, 0)], 3_000)], []);
    assert.deepEqual([...rates.of([withCalls('b', 30, 0)], 3_000)], []);
  });
});
