/**
 * Consul suddenly takes all instances away, as it does when health data is lost or a network is cut. Instances that answer
 * calls are kept for the grace time and then Consul is believed; one after the other it may take any away.
 * (sidecar/core/discovery/eviction-guard.ts; after the outages at Slack in 2022 and AWS in 2025.)
 */
import assert from 'node:assert/strict';
import { ConsulUpstream } from '../../kit/scenario/consul-upstream.js';

describe('Scenario: Consul empties a service', () => {
  let mesh: ConsulUpstream;
  beforeEach(async () => {
    mesh = new ConsulUpstream();
    await mesh.setInstances(40, 'a', 'b', 'c');
  });
  afterEach(() => mesh.close());
  const assertKept = (instances: number): void =>
    assert.equal(mesh.metric('outrider_consul_kept_instances'), instances);

  it('keeps instances that answer for the grace time and reports it, then removes them', async () => {
    await mesh.setInstances(41);
    assert.deepEqual(await mesh.calls(30, 1_000), { a: 10, b: 10, c: 10 });
    assertKept(3);
    await mesh.pass(31_000);
    assertKept(0);
    assert.deepEqual(await mesh.calls(2), { '14 no-endpoint': 2 });
  });

  it('does not keep an instance that does not answer', async () => {
    mesh.stack.settle(mesh.stack.kill('b'));
    await mesh.setInstances(41);
    await mesh.pass(5_000);
    assertKept(2);
    assert.deepEqual(await mesh.calls(10), { a: 5, c: 5 });
  });

  it('it takes it back: nothing has happened, and no connection was made anew', async () => {
    await mesh.setInstances(41);
    await mesh.calls(10, 1_000);
    await mesh.setInstances(42, 'a', 'b', 'c');
    await mesh.pass(70_000);
    assert.deepEqual(await mesh.calls(9), { a: 3, b: 3, c: 3 });
    assertKept(0);
    for (const name of ['a', 'b', 'c']) assert.equal(mesh.stack.backend(name).peers.length, 1, name);
  });

  it('all are called critical: the same', async () => {
    await mesh.setInstances(41, 'a!', 'b!', 'c!');
    assert.deepEqual(await mesh.calls(9, 1_000), { a: 3, b: 3, c: 3 });
    assertKept(3);
  });

  it('one after the other is believed at once', async () => {
    await mesh.setInstances(41, 'b', 'c');
    assert.deepEqual(await mesh.calls(4), { b: 2, c: 2 });
    await mesh.pass(11_000);
    await mesh.setInstances(42, 'c');
    assert.deepEqual(await mesh.calls(4), { c: 4 });
    assertKept(0);
  });

  it('others in their place are believed at once', async () => {
    await mesh.setInstances(41, 'd', 'e', 'f');
    assert.deepEqual(await mesh.calls(9), { d: 3, e: 3, f: 3 });
  });
});
