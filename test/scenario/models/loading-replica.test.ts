/** A replica that restarts beside others: its sidecar takes connections before its model serves, and no call waits there meanwhile. */
import assert from 'node:assert/strict';
import { BlockTable } from '../../../sidecar/core/balancing/block-table.js';
import { Readiness } from '../../../sidecar/http2/constants.js';
import { resultOf } from '../../kit/scenario/counts.js';
import { Mesh, type Replica } from '../../kit/scenario/mesh-in-memory.js';
import { anInbound, aRoute, aSafeRoute, Stack } from '../../kit/stack/stack.js';

/** The sidecar and the model are started again: the sidecar is there, and its model is loading. */
const restart = (mesh: Mesh, replica: Replica): void => {
  replica.kill();
  replica.side.instance.setState({ kind: 'starting' });
  replica.place.mode = 'accepts';
  // As long as the longest wait between two connects.
  mesh.advance(5_000);
};
const serves = (mesh: Mesh, { side }: Replica): void => {
  side.instance.setState({ kind: 'ready' });
  mesh.advance(1);
};

describe('Scenario: a replica whose model is loading', () => {
  it('gets no call while another serves, is not ejected, and gets calls as soon as it serves', () => {
    const mesh = new Mesh({ routes: [aSafeRoute({ attemptTimeoutMs: 400 })] });
    const [first] = mesh.replicas;
    mesh.load(500);
    restart(mesh, first!);
    const endpoint = mesh.endpoint(0);
    assert.deepEqual(
      [endpoint.isConnected, endpoint.readiness, endpoint.eligible],
      [true, Readiness.loading, false],
    );
    const from = mesh.sent.length;
    mesh.load(2_000);
    mesh.advance(40);
    const tookMs = mesh.sent.slice(from).map(({ startMs, endMs }) => endMs - startMs);
    assert.ok(Math.max(...tookMs) <= 40, `${Math.max(...tookMs)} ms`);
    assert.deepEqual(Object.keys(mesh.shares(200)).sort(), ['r2', 'r3']);
    assert.deepEqual([mesh.failures(), endpoint.ejection.ejections], [{}, 0]);
    serves(mesh, first!);
    assert.deepEqual([endpoint.readiness, endpoint.eligible], [Readiness.serving, true]);
    mesh.load(500);
    mesh.advance(40);
    assert.ok(mesh.shares(50)['r1']! > 0, JSON.stringify(mesh.shares(50)));
    assert.deepEqual(mesh.failures(), {});
    mesh.close();
  });

  it('is another process once it serves, and not because it is connected again', () => {
    const mesh = new Mesh();
    const [first] = mesh.replicas;
    const endpoint = mesh.endpoint(0);
    const engine = endpoint.ensureSilence();
    const sent = new BlockTable(8);
    endpoint.sentBlocks = sent;
    first!.kill();
    mesh.advance(1);
    assert.equal(endpoint.isConnected, false);
    first!.place.mode = 'accepts';
    mesh.advance(5_000);
    assert.deepEqual([endpoint.isConnected, engine.processes], [true, 0]);
    assert.equal(endpoint.sentBlocks, sent);
    first!.side.instance.setState({ kind: 'starting' });
    mesh.advance(1);
    assert.equal(engine.processes, 0);
    serves(mesh, first!);
    assert.equal(engine.processes, 1);
    assert.equal(endpoint.sentBlocks, null, 'what it has computed is gone');
    mesh.close();
  });

  it('is told on connections that are there: a model that is starting again gets no more calls', () => {
    const mesh = new Mesh();
    mesh.replicas[0]!.side.instance.setState({ kind: 'starting' });
    mesh.advance(1);
    assert.equal(mesh.endpoint(0).eligible, false);
    // Said again, it changes nothing.
    mesh.replicas[0]!.side.instance.setState({ kind: 'starting' });
    serves(mesh, mesh.replicas[0]!);
    assert.equal(mesh.endpoint(0).eligible, true);
    mesh.close();
  });

  it('has calls wait in its queue, within their deadline, while every replica is loading', () => {
    const mesh = new Mesh({ replicas: 2, routes: [aRoute()] });
    for (const replica of mesh.replicas) restart(mesh, replica);
    const calls = [mesh.call({ timeout: '20S' }), mesh.call({ timeout: '20S' })];
    const hasty = mesh.call({ timeout: '500m' });
    mesh.advance(4_000);
    assert.deepEqual(
      calls.map(({ isOver }) => isOver),
      [false, false],
    );
    assert.equal(hasty.status, 4);
    for (const replica of mesh.replicas) serves(mesh, replica);
    mesh.advance(100);
    for (const call of calls) assert.match(resultOf(call), /^r[12]$/);
    mesh.close();
  });

  it('is not one of several models while another is ready, nor a model that is away, which refuses calls itself', () => {
    const { inbound } = new Stack().inbound(anInbound(), { models: ['a', 'b'], ready: false });
    const [a, b] = inbound.state.backends.map(({ instances }) => instances[0]!);
    assert.equal(inbound.state.readiness, Readiness.loading);
    a!.setState({ kind: 'ready' });
    assert.equal(inbound.state.readiness, Readiness.serving);
    a!.setState({ kind: 'away', why: 'it failed' });
    assert.equal(inbound.state.readiness, Readiness.loading);
    b!.setState({ kind: 'away', why: 'it failed' });
    assert.equal(inbound.state.readiness, Readiness.serving);
  });
});
