/**
 * A replica that turns everything away gets hardly a call while others serve, and its share again when it has room: what
 * it turned away has not made it look slow.
 */
import assert from 'node:assert/strict';
import { aSafeRoute } from '../relay/kit/stack.js';
import { Mesh, type MeshOptions } from './mesh-in-memory.js';

const RUN_MS = 20;
const PLACES = 4;
const RETRIED = aSafeRoute({ retry: { attempts: 2, on: [8, 14], backoffBaseMs: 25, backoffMaxMs: 250 } });

/** A mesh whose models have places, and how often each began to run. */
function busyMesh(options: MeshOptions): { readonly mesh: Mesh; readonly runs: number[] } {
  const mesh = new Mesh({
    balance: 'least-loaded',
    routes: [RETRIED],
    queue: { concurrency: PLACES, maxWaiting: PLACES },
    ...options,
  });
  const runs = mesh.replicas.map(() => 0);
  for (const [i, { model, name }] of mesh.replicas.entries()) {
    model.answer = (stream) => {
      runs[i]! += 1;
      mesh.stack.clock.after(RUN_MS, () => stream.reply(Buffer.from(name)));
    };
  }
  return { mesh, runs };
}

describe('Scenario: one of several replicas is full', () => {
  let mesh: Mesh;
  afterEach(() => mesh.close());

  it('sends hardly anything to one that turns everything away, and its share when it has room again', () => {
    const world = busyMesh({ replicas: 3 });
    mesh = world.mesh;
    mesh.load(500, 6);
    mesh.replicas[0]!.model.answer = (stream) => stream.reply(Buffer.alloc(0), 8);
    mesh.load(1000, 4);
    const before = mesh.endpoint(0).attempts;
    const from = mesh.sent.length;
    mesh.load(5000, 4);
    mesh.advance(1000);
    const share = (mesh.endpoint(0).attempts - before) / (mesh.sent.length - from);
    assert.ok(share < 0.05, `${(100 * share).toFixed(1)} % of the calls went to it first`);
    assert.deepEqual(mesh.failures(from), {});
    world.mesh.replicas[0]!.model.answer = (stream) =>
      void mesh.stack.clock.after(RUN_MS, () => stream.reply(Buffer.from('r1')));
    mesh.load(8000, 4);
    assert.ok(mesh.shares(600)['r1']! > 150, JSON.stringify(mesh.shares(600)));
  });
});
