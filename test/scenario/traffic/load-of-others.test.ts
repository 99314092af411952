/** Two callers of the same replicas, with real sidecars at both ends: each counts the calls of the other. */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { type Application, addressOf, anUpstream, aSafeRoute, type Backend } from '../../kit/stack/stack.js';

const LOAD_REPORTS = { intervalMs: 1000, forward: false };

describe('Scenario: another caller keeps one of two replicas busy', () => {
  let mesh: Mesh;
  let other: Application;
  /** How a model answers. */
  let answer: Backend['answer'];

  function start(loadReports = LOAD_REPORTS): void {
    mesh = new Mesh({ replicas: 2, queue: { concurrency: 2 }, loadReports });
    const { stack } = mesh;
    const endpoints = [{ address: addressOf('r1'), weight: 1, id: 'only-r1' }];
    const config = anUpstream([], { routes: [aSafeRoute()] });
    other = stack.app(stack.outbound({ ...config, endpoints }).listener);
    mesh.advance(1_500);
    // Six calls that stay: two run, four wait.
    answer = mesh.replicas[0]!.model.answer;
    mesh.replicas[0]!.model.answer = () => {};
    for (let i = 0; i < 6; i += 1) other.call();
    mesh.advance(1_500);
  }
  afterEach(() => {
    for (const { model } of mesh.replicas) for (const each of model.requests) if (!each.isOver) each.reply();
    mesh.advance(3_000);
    mesh.close();
  });

  const sentTo = (at: number): number => mesh.endpoint(at).attempts;

  it('calls go to the idle one, where callers hear of the load', () => {
    start();
    assert.equal(mesh.endpoint(0).reported!.others, 6);
    for (let i = 0; i < 20; i += 1) {
      mesh.call();
      mesh.advance(20);
    }
    assert.deepEqual([sentTo(0), sentTo(1)], [0, 20]);
    assert.deepEqual(mesh.failures(), {});
  });

  it('where they do not, the busy one gets calls too', () => {
    start({ intervalMs: 0, forward: false });
    for (let i = 0; i < 20; i += 1) {
      mesh.call();
      mesh.advance(1);
    }
    assert.ok(sentTo(0) >= 5, `${sentTo(0)}`);
  });

  it('when the other caller is done, both are used again', () => {
    start();
    mesh.replicas[0]!.model.answer = answer;
    for (const each of mesh.replicas[0]!.model.requests) each.reply();
    mesh.advance(3_500);
    for (let i = 0; i < 40; i += 1) {
      mesh.call();
      mesh.advance(20);
    }
    assert.ok(sentTo(0) > 10 && sentTo(1) > 10, `${sentTo(0)} and ${sentTo(1)}`);
  });

  it('a replica that drains is left at once, and its connections wait for no stream of reports', () => {
    start();
    const [, idle] = mesh.replicas;
    idle!.drain();
    mesh.advance(1_000);
    assert.equal(idle!.side.listener.sessions.size, 0);
  });

  it('nothing is asked while there is no call to place, and again from the first one on', () => {
    start();
    const [, idle] = mesh.replicas;
    const open = (): number => [...idle!.side.listener.sessions].reduce((n, each) => n + each.inFlight, 0);
    assert.equal(open(), 1, 'the stream of reports');
    mesh.advance(8_000);
    assert.equal(open(), 0);
    mesh.call();
    mesh.advance(1_500);
    assert.equal(open(), 1);
  });
});
