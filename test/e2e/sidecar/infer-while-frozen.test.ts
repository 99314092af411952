/** The mesh of the demo with one of its models frozen: a call from a shell is answered meanwhile. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  admin,
  Mesh,
  outrider,
  REPOSITORY,
  type SidecarFacts,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { isRunning, until } from '../../kit/process/processes.js';

const SEVEN = join(REPOSITORY, 'services/digits/samples/seven.png');
const FREEZES = 3;
/** As many as make it all but certain that one asks the frozen model what it is. */
const SHELLS = 4;

function demo(): string {
  const text = readFileSync(join(REPOSITORY, 'mesh-config/demo.yaml'), 'utf8');
  return text
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:0')
    .replaceAll('../services/', `${REPOSITORY}/services/`);
}

describe('outrider infer while one of three models is frozen', function () {
  this.timeout(120_000);

  let mesh: Mesh;
  let facts: UpFacts;
  let replicas: readonly SidecarFacts[];

  before(async () => {
    mesh = Mesh.start(demo());
    facts = await mesh.ready();
    replicas = facts.sidecars.filter(({ role, name }) => role === 'replica' && /^digits-\d$/.test(name));
  });
  after(() => mesh.discard());

  const modelOf = async (sidecar: SidecarFacts): Promise<{ state: string; pid?: number }> =>
    JSON.parse((await admin(sidecar.admin, '/endpoints')).body).model;
  const infer = () =>
    outrider(['infer', 'digits', '--input', `@${SEVEN}`, '--target', facts.call['digits']!]);

  for (let i = 0; i < FREEZES; i++) {
    it(`succeeds, time ${i + 1}`, async () => {
      assert.equal(replicas.length, 3);
      const { pid } = await modelOf(replicas[i]!);
      process.kill(pid!, 'SIGSTOP');
      const answers = await Promise.all(Array.from({ length: SHELLS }, infer));
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
