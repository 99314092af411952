/**
 * A replica is killed while calls are under way. Its calls go to the others, no caller sees an error, and when it is
 * back it has its share again.
 */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aRoute } from '../../kit/stack/stack.js';

describe('Scenario: a replica is killed', () => {
  let mesh: Mesh;
  afterEach(() => mesh.close());

  it('loses no call on routes that may be repeated', () => {
    mesh = new Mesh();
    mesh.load(500);
    mesh.replicas[0]!.kill();
    mesh.load(2000);
    mesh.replicas[0]!.place.mode = 'accepts';
    mesh.load(8000);
    mesh.advance(1000);
    assert.deepEqual(mesh.failures(), {});
    assert.ok(mesh.shares(300)['r1']! > 50, JSON.stringify(mesh.shares(300)));
    mesh.stack.assertIdle();
  });

  it('repeats nothing that may have been processed on other routes, and loses only what was there', () => {
    mesh = new Mesh({ routes: [aRoute()], balance: 'round-robin' });
    mesh.load(500);
    const before = mesh.replicas.reduce((sum, { model }) => sum + model.requests.length, 0);
    assert.equal(before, mesh.sent.length);
    mesh.call();
    mesh.call();
    mesh.stack.settle(mesh.call());
    mesh.replicas[0]!.kill();
    mesh.load(500);
    assert.deepEqual(mesh.failures(), { '14 connection-lost': 1 });
    const executed = mesh.replicas.reduce((sum, { model }) => sum + model.requests.length, 0);
    assert.equal(executed, mesh.sent.length, 'no call was executed twice');
  });

  it('whose model alone is killed turns calls away, and they go elsewhere whatever the route', () => {
    mesh = new Mesh({ routes: [aRoute()], balance: 'round-robin' });
    mesh.load(100);
    const [first] = mesh.replicas;
    first!.model.mode = 'refuses';
    first!.model.peer.socket.break();
    first!.side.instance.setState({ kind: 'away', why: 'it ended' });
    mesh.load(1000);
    assert.deepEqual(mesh.failures(), {});
    first!.model.mode = 'accepts';
    first!.side.instance.setState({ kind: 'ready' });
    mesh.load(40_000, 50);
    assert.deepEqual(mesh.failures(), {});
    assert.ok(mesh.shares(90)['r1']! >= 25);
  });
});
