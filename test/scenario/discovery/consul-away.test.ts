/**
 * Consul is away. What it said last stays in use, its age says how old that is, and calls go on; when it is back with
 * another index, because its servers were restored or replaced, it is read from the beginning and believed.
 */
import assert from 'node:assert/strict';
import { ConsulUpstream } from '../../kit/scenario/consul-upstream.js';

describe('Scenario: Consul is away', () => {
  let mesh: ConsulUpstream;
  beforeEach(() => {
    mesh = new ConsulUpstream();
  });
  afterEach(() => mesh.close());

  it('calls go to the instances it named last while it is away, and the age of that answer is reported', async () => {
    await mesh.setInstances(40, 'a', 'b');
    assert.deepEqual(await mesh.calls(10), { a: 5, b: 5 });
    await mesh.away();
    assert.deepEqual(await mesh.calls(100, 3_000), { a: 50, b: 50 });
    assert.equal(mesh.status.state, 'failing');
    assert.equal(mesh.metric('outrider_consul_up'), 0);
    assert.equal(mesh.metric('outrider_consul_query_failing'), 1);
    const age = mesh.metric('outrider_consul_age_seconds')!;
    assert.ok(age >= 300 && age < 302, `${age} s`);
    const tries = mesh.agent.reads.length;
    assert.ok(tries > 20 && tries < 400, `${tries} reads in five minutes`);
  });

  it('one that dies meanwhile gets no calls, and one that comes back has them again', async () => {
    await mesh.setInstances(40, 'a', 'b');
    await mesh.away();
    mesh.stack.settle(mesh.stack.kill('b'));
    await mesh.pass(1_000);
    assert.deepEqual(await mesh.calls(20), { a: 20 });
    mesh.stack.backend('b').mode = 'accepts';
    await mesh.pass(6_000);
    const { b = 0, ...others } = await mesh.calls(20);
    assert.ok(b >= 5, `b answered ${b}; others: ${JSON.stringify(others)}`);
  });

  it('it comes back with less than it had counted to: it is read from the beginning, and believed', async () => {
    await mesh.setInstances(4_000, 'a', 'b');
    await mesh.away();
    await mesh.pass(5_000);
    await mesh.setInstances(17, 'b', 'c');
    await mesh.pass(5_000);
    assert.deepEqual(await mesh.calls(10), { b: 5, c: 5 });
    assert.equal(mesh.metric('outrider_consul_up'), 1);
    assert.equal(mesh.read.index, '17');
    await mesh.setInstances(18, 'c');
    assert.deepEqual(await mesh.calls(4), { c: 4 });
  });

  it('its index goes backwards without a noticed outage: the same, and it is counted', async () => {
    await mesh.setInstances(4_000, 'a', 'b');
    await mesh.pass(1_000);
    assert.equal(mesh.read.index, '4000');
    await mesh.setInstances(17, 'b', 'c');
    await mesh.pass(5_000);
    assert.deepEqual(await mesh.calls(10), { b: 5, c: 5 });
    assert.equal(mesh.metric('outrider_consul_index_resets_total'), 1);
    assert.equal(mesh.read.index, '17');
  });

  it('calls that come before it ever answered wait for it within their deadline', async () => {
    await mesh.away();
    const call = mesh.app.call({ timeout: '9S' });
    await mesh.pass(4_000);
    assert.ok(!call.isOver);
    await mesh.setInstances(7, 'a');
    await mesh.pass(5_000);
    assert.equal(call.body.toString(), 'a');
  });
});
