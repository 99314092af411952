/**
 * An intention is revoked while its caller is connected. The next call on the open connection is refused, the streams
 * that are open end, and when it is allowed again the same connection serves.
 */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { anInbound, aStreamRoute } from '../../kit/stack/stack.js';

describe('Scenario: an intention is revoked', () => {
  it('for calls to come and for streams that are open, on the connection there is', () => {
    const mesh = new Mesh({ replicas: 1, routes: [aStreamRoute()] });
    const { side, model, sockets } = mesh.replicas[0]!;
    model.answer = (stream) => stream.reply();
    const open = mesh.stack.settle(mesh.call({ body: null }));
    mesh.stack.settle(model.last.begin().data(Buffer.from('until now')));

    const set = (action: 'allow' | 'deny'): void => {
      const config = anInbound({
        routes: [aStreamRoute()],
        intentions: [{ from: 'app', to: 'digits', action }],
      });
      side.inbound.state.update(config, side.intentions(config.intentions), side.listener.sessions);
      mesh.stack.run();
    };
    set('deny');
    assert.deepEqual([open.status, open.reason, open.body.toString()], [7, 'not-allowed', 'until now']);
    const refused = mesh.stack.settle(mesh.call());
    assert.deepEqual([refused.status, refused.reason], [7, 'not-allowed']);
    assert.equal(mesh.endpoint(0).ejection.consecutiveFaults, 0, 'that is no fault of the endpoint');
    set('allow');
    const allowed = mesh.stack.settle(mesh.call());
    assert.equal(allowed.status, 0);
    assert.equal(sockets.length, 1);
  });
});
