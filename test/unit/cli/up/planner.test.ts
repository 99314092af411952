import assert from 'node:assert/strict';
import { Planner } from '../../../../sidecar/cli/up/planner.js';
import { RunDirectory } from '../../../../sidecar/cli/up/run-directory.js';
import { parseMeshFile } from '../../../../sidecar/config/file/parse.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';

const meshOf = (replicas: number) => {
  const text = `
services:
  echo: { command: [serve, "{port}"], replicas: ${replicas} }
caller: { name: client, upstreams: { echo: { listen: "127.0.0.1:0" } } }
intentions: [{ from: "*", to: "*", action: allow }]
`;
  const parsed = parseMeshFile(text, 'mesh.yaml');
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.config;
};

describe('the plans of a mesh', () => {
  it('issue each certificate once, forget those of sidecars that are gone, and issue them again after that', async () => {
    const done: string[] = [];
    let removed = () => {};
    const issuer = {
      add: async (_: string, instance: string) => {
        done.push(`+${instance}`);
        return { cert: '/c', key: '/k', roots: '/r' };
      },
      remove: (instance: string) =>
        new Promise<void>((resolve) => {
          removed = () => {
            done.push(`-${instance}`);
            resolve();
          };
        }),
    };
    const run = RunDirectory.create(`${scratchForTest().path}/run`);
    const planner = new Planner({ run, issuer, self: ['node', 'main.js'], freePorts: true });
    afterTest(() => planner.close());
    const planOf = async (replicas: number) => (await planner.plan(meshOf(replicas))).map(({ name }) => name);
    await planOf(2);
    assert.deepEqual(done.splice(0).sort(), ['+client', '+echo-1', '+echo-2']);
    planner.retain(await planOf(1));
    const again = planOf(2);
    // The files of the one before are not there any more when they are written anew.
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    assert.deepEqual(done, []);
    removed();
    await again;
    assert.deepEqual(done, ['-echo-2', '+echo-2']);
  });
});
