/** Calls that come before the registry has answered: they wait within their deadline, in number and bytes bounded. */
import assert from 'node:assert/strict';
import { countBy, resultOf } from '../../kit/scenario/counts.js';
import { DiscoveredUpstream } from '../../kit/scenario/discovered-upstream.js';
import { aRoute, aStreamRoute } from '../../kit/stack/stack.js';

describe('Scenario: calls before discovery has answered', () => {
  let mesh: DiscoveredUpstream;
  afterEach(() => mesh.close());

  const assertWaiting = (calls: number): void =>
    assert.equal(mesh.out.outbound.state.breaker.waitingCalls, calls);
  const notReady = () => mesh.out.outbound.state.upstream.notReady();

  it('wait, and go on when it does', () => {
    mesh = new DiscoveredUpstream();
    const calls = [mesh.call({ timeout: '5S' }), mesh.call()];
    mesh.stack.advance(3000);
    for (const { isOver } of calls) assert.ok(!isOver);
    assertWaiting(2);
    assert.equal(notReady(), 'its endpoints are not known yet');
    mesh.discover(['a', 'b']);
    for (const { status } of calls) assert.equal(status, 0);
    assertWaiting(0);
    assert.equal(notReady(), undefined);
    assert.equal(mesh.stack.context.memory.held, 0);
  });

  it('pass on the time that is left', () => {
    mesh = new DiscoveredUpstream();
    mesh.call({ timeout: '5S' });
    mesh.stack.advance(2000);
    mesh.discover(['a']);
    const timeout = mesh.stack.backend('a').last.header('grpc-timeout');
    assert.match(timeout ?? '', /^(2\d{3}|3000)m$/);
  });

  it('end at their deadline, and say why', () => {
    mesh = new DiscoveredUpstream();
    const call = mesh.call({ timeout: '200m' });
    mesh.stack.advance(250);
    assert.equal(resultOf(call), '4 deadline-exceeded');
    assert.match(call.trailer('grpc-message') ?? '', /while waiting for the endpoints of digits/);
    assertWaiting(0);
    assert.equal(mesh.stack.context.memory.held, 0);
  });

  it('end after 15 s where the deadline is later or none', () => {
    mesh = new DiscoveredUpstream({ routes: [aStreamRoute()] });
    const call = mesh.call({ body: null });
    mesh.stack.advance(14_900);
    assertWaiting(1);
    mesh.stack.advance(200);
    assert.equal(resultOf(call), '14 discovery-pending');
    assert.equal(mesh.stack.context.memory.held, 0);
  });

  it('are forgotten when their caller goes', () => {
    mesh = new DiscoveredUpstream();
    const call = mesh.call({ body: null });
    mesh.stack.settle(call.reset(8));
    assertWaiting(0);
    mesh.discover(['a']);
    assert.equal(mesh.stack.backend('a').requests.length, 0);
  });

  it('are forgotten when a drain or a shortage of memory ends them', () => {
    mesh = new DiscoveredUpstream();
    const call = mesh.call({ body: null });
    const [session] = mesh.out.listener.sessions;
    mesh.stack.settle(session!.memory.shed(1));
    assert.equal(resultOf(call), '8 memory-budget');
    assertWaiting(0);
    assert.equal(mesh.stack.context.memory.held, 0);
    mesh.discover(['a']);
    assert.equal(mesh.stack.backend('a').requests.length, 0);
  });

  it('are 1,024 at most; the next is turned away at once', () => {
    mesh = new DiscoveredUpstream();
    const apps = Array.from({ length: 9 }, () => mesh.stack.app(mesh.out.listener));
    const calls = apps.flatMap((app) => Array.from({ length: 128 }, () => app.call({ timeout: '5S' })));
    mesh.stack.run();
    assertWaiting(1024);
    assert.deepEqual(countBy(calls, resultOf), { 'not ended': 1024, '14 discovery-pending': 128 });
    mesh.discover(['a']);
    mesh.stack.advance(100);
    assert.deepEqual(countBy(calls, resultOf), { a: 1024, '14 discovery-pending': 128 });
  });

  it('are not held where no endpoint will be found', () => {
    mesh = new DiscoveredUpstream();
    const call = mesh.call();
    mesh.discover([]);
    assert.equal(resultOf(call), '14 no-endpoint');
    assert.equal(mesh.call().reason, 'no-endpoint');
    assert.equal(notReady(), 'it has no endpoint');
  });

  it('go by the rules that come with the answer, which may allow them less', () => {
    mesh = new DiscoveredUpstream({ routes: [aRoute()] });
    const call = mesh.call();
    const rule = { split: [{ weight: 1, cluster: 'slow' }], timeoutMs: 300 };
    mesh.apply({ slow: { endpoints: undefined } }, [rule]);
    mesh.stack.advance(350);
    assert.equal(call.status, 4);
    assert.match(call.trailer('grpc-message') ?? '', /300 ms/);
  });

  it('a set that is known stays in use when it is unknown again', () => {
    mesh = new DiscoveredUpstream();
    mesh.discover(['a']);
    mesh.discover(undefined);
    assert.deepEqual(mesh.calls(3), { a: 3 });
  });

  it('an upstream that was reached stays so, though nobody asked before its rules named other endpoints', () => {
    mesh = new DiscoveredUpstream();
    mesh.discover(['a']);
    assert.deepEqual(mesh.calls(1), { a: 1 });
    mesh.apply({ slow: { endpoints: undefined } }, [{ split: [{ weight: 1, cluster: 'slow' }] }]);
    assert.equal(notReady(), undefined);
  });

  describe('and before there is an identity to connect with', () => {
    beforeEach(() => {
      mesh = new DiscoveredUpstream({ routes: [aRoute({ timeoutMs: 0 })] });
      mesh.stack.hasIdentity = false;
    });

    it('wait for it too, whatever came of the request meanwhile', () => {
      const body = Buffer.alloc(60_000, 'x');
      const call = mesh.call({ timeout: '5S', body });
      mesh.discover(['a', 'b']);
      mesh.stack.advance(1000);
      assert.ok(!call.isOver);
      assertWaiting(1);
      mesh.stack.hasIdentity = true;
      mesh.out.outbound.state.refreshConnections();
      mesh.stack.advance(100);
      assert.equal(call.status, 0);
      const asked = ['a', 'b'].flatMap((name) => mesh.stack.backend(name).requests);
      assert.equal(asked.length, 1);
      assert.equal(asked[0]!.bytes, body.length);
    });

    it('say so when it does not come in time', () => {
      mesh.discover(['a']);
      const [soon, late] = [mesh.call({ timeout: '200m' }), mesh.call({ timeout: '20S' })];
      mesh.stack.advance(250);
      assert.equal(soon.status, 4);
      assert.match(soon.trailer('grpc-message') ?? '', /while waiting for an identity/);
      mesh.stack.advance(15_000);
      assert.equal(resultOf(late), '14 connect-failed');
      assertWaiting(0);
    });

    it('but fail at once when we had one and have none any more', () => {
      mesh.stack.hasIdentity = true;
      mesh.discover(['a']);
      assert.deepEqual(mesh.calls(1), { a: 1 });
      mesh.stack.hasIdentity = false;
      mesh.stack.settle(mesh.out.outbound.state.expireConnections());
      const call = mesh.call({ timeout: '5S' });
      mesh.stack.advance(400);
      assert.equal(call.reason, 'connect-failed');
    });
  });
});
