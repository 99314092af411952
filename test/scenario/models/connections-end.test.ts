/** The server of a model ends its connections, as gRPC servers do at an age: no call fails, and no replica is ejected. */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aRoute } from '../../kit/stack/stack.js';

describe('Scenario: a model server ends its connections at an age', () => {
  let mesh: Mesh;
  afterEach(() => mesh.close());

  /** Each replica's model leaves out what it has not begun of a connection, every 200 ms, after the first GOAWAY of two. */
  const endConnections = (): void => {
    for (const { model } of mesh.replicas) {
      const leaving = [...model.open];
      for (const peer of leaving) peer.goaway(0x7fffffff);
      mesh.stack.clock.after(1, () => {
        for (const peer of leaving) if (!peer.isClosed) peer.goaway(lastIdOf(peer.streams));
      });
    }
  };
  /** The newest stream is left out. */
  const lastIdOf = (streams: ReadonlyMap<number, unknown>): number => Math.max(1, ...streams.keys()) - 2;

  for (const replicas of [1, 3])
    it(`with ${replicas} of its replicas`, () => {
      mesh = new Mesh({ replicas, routes: [aRoute()] });
      mesh.advance(100);
      for (let round = 0; round < 8; round++) {
        mesh.load(200, 1);
        endConnections();
        mesh.load(20, 1);
      }
      mesh.advance(2_000);
      assert.deepEqual(mesh.failures(), {});
      const connections = mesh.replicas.map(({ model }) => model.open.length);
      assert.deepEqual(connections, new Array(replicas).fill(1));
      const states = mesh.replicas.map((_, i) => mesh.endpoint(i).ejection.isDown);
      assert.deepEqual(states, new Array(replicas).fill(false));
    });
});
