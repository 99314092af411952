/**
 * The first byte of an answer has reached the caller. From here on the call is that attempt's, whatever becomes of it.
 */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

describe('Scenario: a committed call', () => {
  it('is not tried again when its replica dies in the middle of the answer', () => {
    const mesh = new Mesh({ routes: [aStreamRoute({ idempotent: true, retry: aSafeRoute().retry! })] });
    for (const { model } of mesh.replicas) model.answer = () => {};
    const call = mesh.stack.settle(mesh.call());
    const serving = mesh.replicas.find(({ model }) => model.requests.length > 0)!;
    mesh.stack.settle(serving.model.last.begin().data(Buffer.from('first token')));
    assert.equal(call.body.toString(), 'first token');
    serving.kill();
    mesh.advance(1000);
    assert.deepEqual([call.status, call.reason], [14, 'connection-lost']);
    assert.equal(call.lists.length, 2, 'headers once, trailers once');
    assert.equal(mesh.replicas.flatMap(({ model }) => model.requests).length, 1);
    mesh.stack.assertIdle();
  });
});
