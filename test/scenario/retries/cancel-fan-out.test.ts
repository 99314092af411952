/**
 * The caller leaves. Every attempt, every place in a line, every timer and every byte held for the call is released,
 * through both sidecars, before the next thing happens.
 */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';

describe('Scenario: the caller leaves', () => {
  it('frees running and waiting calls on all replicas at once', () => {
    const mesh = new Mesh({ queue: { concurrency: 1 } });
    for (const { model } of mesh.replicas) model.answer = () => {};
    const timersBefore = mesh.stack.context.wheel.size;
    for (let i = 0; i < 30; i++) mesh.call({ body: Buffer.alloc(20_000), timeout: '10S' });
    mesh.stack.run();
    const [a = 0, b = 0, c = 0] = mesh.replicas.map(({ side }) => side.backend.queue.waiting);
    assert.equal(a + b + c, 27);
    assert.ok(mesh.stack.context.memory.held > 0);
    const nowMs = mesh.stack.clock.now();
    mesh.stack.settle(mesh.app.socket.destroy());
    assert.equal(mesh.stack.clock.now(), nowMs, 'without any time passing');
    mesh.stack.assertIdle();
    const codes = mesh.replicas.map(({ model }) => model.requests.map(({ resetCode }) => resetCode));
    assert.deepEqual(codes, [[8], [8], [8]]);
    // Three connections that had calls have a PING timer left, which finds nothing to watch.
    mesh.advance(30_000);
    assert.ok(mesh.stack.context.wheel.size <= timersBefore);
  });

  it('frees a call between two attempts', () => {
    const mesh = new Mesh();
    for (const { model } of mesh.replicas) model.answer = (stream) => stream.reset(2);
    const call = mesh.stack.settle(mesh.call());
    call.reset();
    mesh.advance(5000);
    mesh.stack.assertIdle();
  });
});
