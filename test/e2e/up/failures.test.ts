import assert from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { meshFile } from '../../kit/config/mesh-file.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { DIGITS_MODELS, Mesh, type Outcome, outrider, runDirectories } from '../../kit/process/outrider.js';
import { isStopped, processesWith, until } from '../../kit/process/processes.js';

describe('outrider up, when it ends otherwise', function () {
  this.timeout(60_000);

  const scratch = scratchForEach();

  function start(file: string): Mesh {
    const mesh = Mesh.start(file);
    afterTest(() => mesh.discard());
    return mesh;
  }

  /** Runs `up` on a file that cannot work; says what was left behind. */
  async function failedUp(text: string): Promise<Outcome & { lines: string[] }> {
    const outcome = await outrider(['up', scratch.write('mesh.yaml', text)], { TMPDIR: scratch.path });
    assert.equal(outcome.code, 1, outcome.stderr);
    assert.equal(outcome.stdout, '');
    assert.deepEqual(processesWith(scratch.path), []);
    assert.deepEqual(runDirectories(scratch.path), []);
    assert.doesNotMatch(outcome.stderr, / {4}at /, 'a stack reached the user');
    return { ...outcome, lines: outcome.stderr.trimEnd().split('\n') };
  }

  it('leaves no process when it is killed itself, though a model and a sidecar are frozen', async () => {
    const mesh = start(meshFile({ replicas: 1 }));
    const { sidecars } = await mesh.ready();
    for (const { role, pid: own, modelPid } of sidecars) {
      const pid = role === 'replica' ? modelPid! : own;
      process.kill(pid, 'SIGSTOP');
      await until('it is frozen', () => isStopped(pid));
    }
    assert.ok(mesh.processes().length >= 3);
    mesh.signal('SIGKILL');
    await until('everything is gone', () => mesh.processes().length === 0);
    assert.equal((await mesh.outcome).signal, 'SIGKILL');
  });

  it('removes what a killed one has left on disk', async () => {
    const mesh = start(meshFile());
    await mesh.ready();
    mesh.signal('SIGKILL');
    await mesh.outcome;
    assert.equal(runDirectories(mesh.temporary).length, 1);
    const hopeless = scratch.write('mesh.yaml', meshFile({ listen: '192.0.2.1:8500' })); // RFC 5737: an address without a host
    const { stderr } = await outrider(['up', hopeless], { TMPDIR: mesh.temporary });
    assert.match(stderr, /this machine has no such address/);
    assert.deepEqual(runDirectories(mesh.temporary), []);
  });

  it('ends on SIGTERM while it is still starting', async () => {
    const mesh = start(meshFile());
    await until('something runs', () => mesh.processes().length > 0);
    mesh.signal('SIGTERM');
    const outcome = await mesh.outcome;
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.deepEqual(mesh.processes(), []);
  });

  it('says in one line which port is taken, and which listener needed it', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    afterTest(() => new Promise((resolve) => server.close(resolve)));
    const { lines } = await failedUp(meshFile({ listen: `127.0.0.1:${port}` }));
    assert.equal(lines.length, 1);
    const where = `outrider: upstream digits: cannot listen on 127.0.0.1:${port}: the port is already taken`;
    assert.ok(lines[0]!.startsWith(where), lines[0]);
    if (process.platform === 'linux')
      assert.match(lines[0]!, new RegExp(`taken by process ${process.pid} \\(`));
  });

  it('says in one line that the model directory is missing', async () => {
    const { lines } = await failedUp(meshFile({ models: '/no/such/models' }));
    assert.equal(lines.length, 1);
    assert.match(
      lines[0]!,
      /^outrider: .*mesh\.yaml:\d+: services\.digits\.models: \/no\/such\/models: no such directory; /,
    );
  });

  it('says in one line why models cannot be served', async () => {
    const models = join(scratch.path, 'models');
    mkdirSync(models);
    const empty = await failedUp(meshFile({ models }));
    assert.equal(empty.lines.length, 1, empty.stderr);
    const expected =
      /^outrider: .*mesh\.yaml:\d+: services\.digits\.models: .*models: found no models; expected NAME\/VERSION\/model\.onnx below it$/;
    assert.match(empty.lines[0]!, expected);

    cpSync(DIGITS_MODELS, models, { recursive: true });
    writeFileSync(join(models, 'digits/1/model.onnx'), 'not a model');
    const corrupt = await failedUp(meshFile({ models }));
    assert.equal(corrupt.lines.length, 1, corrupt.stderr);
    assert.match(corrupt.lines[0]!, /^outrider: model of digits-1: digits version 1: NOT READY: /);
  });

  it('says every problem of a broken file, one per line', async () => {
    const { lines } = await failedUp(meshFile({ more: 'colour: blue\nlimit: {}\n' }));
    assert.equal(lines.length, 2, lines.join('\n'));
    assert.match(lines[0]!, /^outrider: .*mesh\.yaml:\d+: colour: unknown option/);
    assert.match(lines[1]!, /did you mean "limits"/);
  });

  it('says in one line that there is no such file', async () => {
    const outcome = await outrider(['up', '/no/such/file.yaml']);
    assert.equal(outcome.code, 1);
    assert.equal(outcome.stderr, 'outrider: /no/such/file.yaml: no such file\n');
  });
});
