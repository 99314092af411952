/**
 * Everything fails at once. However many calls come, the mesh sends no more than a fifth more attempts than there are
 * calls (and the small reserve), and it serves again as soon as the endpoints do.
 */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';

describe('Scenario: retries while everything fails', () => {
  it('add no more than the budget, and end with the failure', () => {
    const mesh = new Mesh();
    for (const { model } of mesh.replicas) model.answer = (stream) => stream.fail(14);
    const seconds = 20;
    mesh.load(seconds * 1000);
    mesh.advance(1000);
    const { attempts } = mesh.out.outbound.state;
    const calls = mesh.sent.length;
    assert.ok(attempts <= calls * 1.2 + 3 * (seconds + 10) + 1, `${attempts} attempts for ${calls} calls`);
    for (const { model, name } of mesh.replicas) {
      model.answer = (stream) => stream.reply(Buffer.from(name));
    }
    const from = mesh.sent.length;
    mesh.load(2000);
    assert.deepEqual(mesh.failures(from), {});
    mesh.stack.assertIdle();
  });

  it('spend nothing that was saved up before: the load grows by a fifth at once, not by twice', () => {
    const mesh = new Mesh();
    mesh.load(10_000);
    const [calls, attempts] = [mesh.sent.length, mesh.out.outbound.state.attempts];
    for (const { model } of mesh.replicas) model.answer = (stream) => stream.fail(14);
    mesh.load(5_000);
    mesh.advance(1_000);
    const extra = (mesh.out.outbound.state.attempts - attempts) / (mesh.sent.length - calls);
    assert.ok(extra > 1.1 && extra <= 1.27, `${extra} attempts for each call`);
    mesh.stack.assertIdle();
  });
});
