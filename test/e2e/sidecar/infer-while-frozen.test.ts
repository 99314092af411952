/** A mesh with the routes of the demo and one of its models frozen: a call from a shell is answered meanwhile. */
import assert from 'node:assert/strict';
import { meshFile } from '../../kit/config/mesh-file.js';
import { runs } from '../../kit/mocha/effort.js';
import { reportOf } from '../../kit/process/outrider.js';
import { isRunning, until } from '../../kit/process/processes.js';
import { SuiteMesh } from '../../kit/process/suite-mesh.js';

const FREEZES = Math.min(3, runs(1));
/** As many as make it all but certain that one asks the frozen model what it is. */
const SHELLS = 4;

describe('outrider infer while one of three models is frozen', function () {
  this.timeout(120_000);

  // How fast this machine is, is not tested.
  const patient = meshFile({ replicas: 3, attemptTimeout: '700ms' }).replace('attempts: 2', 'attempts: 3');
  const mesh = new SuiteMesh(patient);

  for (let i = 0; i < FREEZES; i++)
    it(`succeeds, time ${i + 1}`, async () => {
      const replicas = mesh.replicas.filter(({ name }) => /^digits-\d$/.test(name));
      assert.equal(replicas.length, 3);
      const model = async () => (await reportOf(replicas[i]!.admin)).model!;
      const { pid } = await model();
      process.kill(pid!, 'SIGSTOP');
      const answers = await Promise.all(Array.from({ length: SHELLS }, () => mesh.infer()));
      for (const { code, stdout, stderr } of answers) {
        assert.equal(code, 0, stderr);
        assert.match(stdout, /^7 /);
      }
      await until('the frozen model is gone', () => !isRunning(pid!), 30_000);
      await until('another one is ready', async () => (await model()).state === 'ready', 30_000);
    });
});
