/** A replica drains: it gets no new call, those it has finish, and the longest wait has an end. */
import assert from 'node:assert/strict';
import { resultOf } from '../../kit/scenario/counts.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aRoute } from '../../kit/stack/stack.js';

const LONG_MS = 4_000;

describe('Scenario: a drain', () => {
  let mesh: Mesh;

  /** One long call at each replica; then the first one drains. */
  function drainUnderWay(): number {
    mesh = new Mesh({ routes: [aRoute()], balance: 'round-robin' });
    for (const { model, name } of mesh.replicas)
      model.answer = (stream) => void mesh.stack.clock.after(LONG_MS, () => stream.reply(Buffer.from(name)));
    for (let i = 0; i < 3; i++) mesh.call();
    mesh.advance(20);
    const [first, ...others] = mesh.replicas;
    assert.equal(first!.model.requests.length, 1);
    for (const { model, name } of others) model.answer = (stream) => stream.reply(Buffer.from(name));
    first!.drain();
    return mesh.sent.length;
  }

  const resultsOf = (count: number): string[] =>
    mesh.sent.slice(0, count).map(({ stream }) => resultOf(stream));

  it('takes no new call, and finishes what it has', () => {
    const before = drainUnderWay();
    mesh.load(LONG_MS);
    mesh.advance(LONG_MS);
    assert.deepEqual(mesh.failures(), {});
    assert.equal(mesh.replicas[0]!.model.requests.length, 1);
    assert.deepEqual(resultsOf(before), ['r1', 'r2', 'r3']);
    assert.ok(mesh.replicas[0]!.sockets.every(({ destroyed }) => destroyed));
    mesh.stack.assertIdle();
  });

  it('ends what does not finish when its time is over, and nothing else', () => {
    const before = drainUnderWay();
    mesh.advance(1_000);
    mesh.stack.settle(mesh.replicas[0]!.side.listener.stop());
    mesh.load(LONG_MS);
    const [ended, ...others] = resultsOf(before);
    assert.match(ended!, /^14/);
    assert.deepEqual(others, ['r2', 'r3']);
    assert.deepEqual(mesh.failures(before), {});
  });
});
