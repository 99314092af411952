/**
 * Replicas are restarted one after the other under load: each drains (two-phase GOAWAY, calls under way finish), goes,
 * and comes back. Also: one is deregistered, and streams live through all of it.
 */
import assert from 'node:assert/strict';
import { Mesh, Replica } from '../../kit/scenario/mesh-in-memory.js';
import { anUpstream, aRoute, aStreamRoute } from '../../kit/stack/stack.js';

describe('Scenario: a rolling restart', () => {
  let mesh: Mesh;
  afterEach(() => mesh.close());

  it('loses no call, though nothing may be repeated', () => {
    mesh = new Mesh({ routes: [aRoute()] });
    mesh.load(300);
    for (const replica of mesh.replicas) {
      replica.drain();
      mesh.load(1000);
      // Its successor listens at the same address.
      new Replica(mesh.stack, replica.name, { routes: [aRoute()], queue: { concurrency: 8 } });
      mesh.load(6000, 20);
    }
    mesh.advance(1000);
    assert.deepEqual(mesh.failures(), {});
    const shares = mesh.shares(200);
    for (const { name } of mesh.replicas) assert.ok(shares[name]! > 30, JSON.stringify(shares));
    mesh.stack.assertIdle();
  });

  it('by deregistration gives no new call to the one that leaves, and lets the others end', () => {
    mesh = new Mesh({ routes: [aStreamRoute(), aRoute()], balance: 'round-robin' });
    for (const { model } of mesh.replicas) model.answer = () => {};
    const streams = Array.from({ length: 3 }, () => mesh.call({ body: null, timeout: '1H' }));
    mesh.stack.run();
    const { cluster, outbound } = mesh.out;
    const endpoints = cluster.endpoints.slice(1).map(({ address, id, weight }) => ({ address, id, weight }));
    mesh.stack.settle(outbound.state.update({ ...anUpstream([], { routes: [aStreamRoute()] }), endpoints }));
    const before = mesh.replicas[0]!.model.requests.length;
    mesh.call({ body: null });
    mesh.call({ body: null });
    mesh.advance(60_000);
    assert.equal(mesh.replicas[0]!.model.requests.length, before);
    for (const { model } of mesh.replicas) {
      for (const each of model.requests) each.begin().data(Buffer.from('still here')).trailers(0);
    }
    mesh.stack.run();
    for (const { status, body } of streams) assert.deepEqual([status, body.toString()], [0, 'still here']);
    assert.equal(mesh.replicas[0]!.sockets.filter(({ destroyed }) => !destroyed).length, 0);
    mesh.stack.assertIdle();
  });
});
