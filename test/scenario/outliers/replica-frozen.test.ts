/**
 * A replica is frozen: its connections stand, and nothing comes back. Attempts at it time out and go elsewhere, it is
 * ejected after the fifth, PING finds the dead connection, and a thaw brings it back.
 */
import assert from 'node:assert/strict';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';

describe('Scenario: a replica is frozen', () => {
  it('loses no call, gets none after five seconds, and is back after the thaw', () => {
    const mesh = new Mesh({ balance: 'round-robin' });
    mesh.load(500);
    mesh.replicas[0]!.freeze();
    mesh.load(5000);
    assert.deepEqual(mesh.failures(), {});
    assert.equal(mesh.endpoint(0).ejection.state, EjectionState.ejected);
    const attempts = mesh.endpoint(0).attempts;
    mesh.load(2000);
    assert.equal(mesh.endpoint(0).attempts, attempts);
    mesh.replicas[0]!.thaw();
    mesh.load(40_000, 25);
    assert.deepEqual(mesh.failures(), {});
    assert.ok(mesh.shares(200)['r1']! > 20, JSON.stringify(mesh.shares(200)));
    mesh.stack.assertIdle();
  });

  it('is asked for a sign of life by the first call that times out, and is back a second after the thaw', () => {
    const mesh = new Mesh({ pool: { pingIntervalMs: 2_000, pingTimeoutMs: 1_000 } });
    mesh.load(500);
    mesh.replicas[0]!.freeze();
    const from = mesh.stack.clock.now();
    while (mesh.endpoint(0).isConnected) mesh.load(20);
    const afterMs = mesh.stack.clock.now() - from;
    // 300 ms of an attempt, and 1 s of the PING; without it the silence would have lasted 2 s first.
    assert.ok(afterMs <= 1_400, `${afterMs} ms`);
    mesh.load(3_000);
    mesh.replicas[0]!.thaw();
    mesh.load(1_000);
    assert.equal(mesh.endpoint(0).isConnected, true);
    mesh.load(500);
    assert.deepEqual(mesh.failures(), {});
    mesh.stack.assertIdle();
  });

  it('by its model alone: no connection is given up, however many calls time out', () => {
    const mesh = new Mesh({ pool: { pingIntervalMs: 2_000, pingTimeoutMs: 1_000 } });
    mesh.load(500);
    mesh.replicas[0]!.model.peer.socket.isCut = true;
    const { connects } = mesh.endpoint(0).pool;
    mesh.load(10_000);
    assert.deepEqual([mesh.endpoint(0).isConnected, mesh.endpoint(0).pool.connects], [true, connects]);
    assert.deepEqual(mesh.failures(), {});
  });

  it('by its model alone: the sidecar stays, its line fills, and calls go elsewhere', () => {
    const mesh = new Mesh({ balance: 'round-robin', queue: { concurrency: 2, maxWaiting: 4 } });
    mesh.load(500);
    const [first] = mesh.replicas;
    first!.model.peer.socket.isCut = true;
    mesh.load(5000);
    assert.deepEqual(mesh.failures(), {});
    assert.equal(mesh.endpoint(0).ejection.state, EjectionState.ejected);
    first!.model.peer.socket.heal();
    mesh.load(40_000, 25);
    assert.deepEqual(mesh.failures(), {});
    assert.ok(mesh.shares(200)['r1']! > 20);
  });

  it('gets next to nothing where calls go to the least loaded, ejected or not', () => {
    const mesh = new Mesh();
    mesh.load(500);
    mesh.replicas[0]!.freeze();
    mesh.load(5000);
    const attempts = mesh.endpoint(0).attempts;
    mesh.load(10_000);
    assert.ok(mesh.endpoint(0).attempts - attempts <= 2);
    assert.deepEqual(mesh.failures(), {});
  });

  it('leaves nothing hanging beyond a deadline, even when all of them are', () => {
    const mesh = new Mesh();
    mesh.load(200);
    for (const replica of mesh.replicas) replica.freeze();
    mesh.load(3000, 50);
    mesh.advance(1100);
    for (const { stream, startMs, endMs } of mesh.sent) {
      assert.ok(stream.isOver, 'a call hangs');
      assert.ok(endMs - startMs <= 1060, `${endMs - startMs}`);
    }
    for (const replica of mesh.replicas) replica.thaw();
    mesh.advance(2000);
    const from = mesh.sent.length;
    mesh.load(2000);
    mesh.advance(500);
    assert.deepEqual(mesh.failures(from), {});
    mesh.stack.assertIdle();
  });
});
