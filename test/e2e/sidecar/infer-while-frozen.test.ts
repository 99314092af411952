/** The mesh of the demo with one of its models frozen: a call from a shell is answered meanwhile. */
import assert from 'node:assert/strict';
import { admin, type SidecarFacts } from '../../kit/process/outrider.js';
import { isRunning, until } from '../../kit/process/processes.js';
import { exampleOnFreePorts, SuiteMesh } from '../../kit/process/suite-mesh.js';

const FREEZES = 3;
/** As many as make it all but certain that one asks the frozen model what it is. */
const SHELLS = 4;

describe('outrider infer while one of three models is frozen', function () {
  this.timeout(120_000);

  const mesh = new SuiteMesh(exampleOnFreePorts('demo.yaml'));
  const modelOf = async (sidecar: SidecarFacts): Promise<{ state: string; pid?: number }> =>
    JSON.parse((await admin(sidecar.admin, '/endpoints')).body).model;

  for (let i = 0; i < FREEZES; i++) {
    it(`succeeds, time ${i + 1}`, async () => {
      const replicas = mesh.replicas.filter(({ name }) => /^digits-\d$/.test(name));
      assert.equal(replicas.length, 3);
      const { pid } = await modelOf(replicas[i]!);
      process.kill(pid!, 'SIGSTOP');
      const answers = await Promise.all(Array.from({ length: SHELLS }, () => mesh.infer()));
      for (const { code, stdout, stderr } of answers) {
        assert.equal(code, 0, stderr);
        assert.match(stdout, /^7 /);
      }
      await until('the frozen model is gone', () => !isRunning(pid!), 30_000);
      await until(
        'another one is ready',
        async () => (await modelOf(replicas[i]!)).state === 'ready',
        30_000,
      );
    });
  }
});
