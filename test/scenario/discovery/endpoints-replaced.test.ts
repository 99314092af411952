/** All endpoints are replaced at once, as by a rolling restart that is faster than the registry tells: calls that wait for the old ones move. */
import assert from 'node:assert/strict';
import { resultOf } from '../../kit/scenario/counts.js';
import { DiscoveredUpstream, endpoint } from '../../kit/scenario/discovered-upstream.js';
import { aRoute } from '../../kit/stack/stack.js';

const OLD = ['a', 'b', 'c'];
const NEW = ['d', 'e', 'f'];

describe('Scenario: all endpoints are replaced', () => {
  let mesh: DiscoveredUpstream;
  afterEach(() => mesh.close());

  function withGoneEndpoints(): void {
    mesh = new DiscoveredUpstream({ routes: [aRoute({ timeoutMs: 10_000 })] });
    mesh.discover(OLD);
    for (const name of OLD) {
      mesh.stack.settle(mesh.stack.kill(name));
      mesh.stack.backend(name).mode = 'silent';
    }
  }

  for (const waitedMs of [0, 500, 1_500])
    it(`calls that wait for connections since ${waitedMs} ms move to the new ones`, () => {
      withGoneEndpoints();
      const calls = Array.from({ length: 12 }, () => mesh.call({ timeout: '10S' }));
      mesh.stack.advance(waitedMs);
      const waiting = calls.filter(({ isOver }) => !isOver);
      assert.ok(waiting.length > 0);
      mesh.discover(NEW);
      mesh.stack.advance(1_000);
      for (const call of waiting) assert.match(resultOf(call), /^[def]$/);
      for (const name of NEW) assert.ok(mesh.stack.backend(name).requests.length > 0, name);
    });

  it('calls that wait for connections of a cluster move to the one that takes its place', () => {
    mesh = new DiscoveredUpstream({ routes: [aRoute({ timeoutMs: 10_000 })] });
    const only = (cluster: string, names: readonly string[]) =>
      mesh.apply({ [cluster]: { endpoints: names.map(endpoint) } }, [{ split: [{ weight: 1, cluster }] }]);
    for (const name of OLD) mesh.stack.backend(name).mode = 'silent';
    only('v1', OLD);
    const calls = Array.from({ length: 12 }, () => mesh.call({ timeout: '10S' }));
    mesh.stack.advance(1_500);
    const waiting = calls.filter(({ isOver }) => !isOver);
    assert.ok(waiting.length > 0);
    only('v2', NEW);
    mesh.stack.advance(1_000);
    for (const call of waiting) assert.match(resultOf(call), /^[def]$/);
  });

  it('each endpoint that loses its last connection is told of once, so that DNS is asked sooner', () => {
    mesh = new DiscoveredUpstream();
    let told = 0;
    mesh.out.outbound.state.upstream.onDisconnected(() => void told++);
    mesh.discover(OLD);
    assert.equal(told, 0);
    mesh.stack.settle(mesh.stack.kill('a'));
    mesh.stack.advance(3_000);
    assert.equal(told, 1);
    mesh.discover(['b']);
    assert.equal(told, 1);
    mesh.stack.settle(mesh.stack.kill('b'));
    assert.equal(told, 2);
  });
});
