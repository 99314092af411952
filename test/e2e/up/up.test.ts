import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import {
  admin,
  isReady,
  outrider,
  reportOf,
  runDirectories,
  type SidecarFacts,
} from '../../kit/process/outrider.js';
import { cpuTimeNs, isRunning, isStopped, until } from '../../kit/process/processes.js';
import { SEVEN, SuiteMesh } from '../../kit/process/suite-mesh.js';
import { toolOrSkip } from '../../kit/process/tools.js';
import { codeOfDigit } from '../../kit/service/model-load.js';
import { TestClient } from '../../kit/service/model-server.js';

/** Share of a core of an idle sidecar, and how many times that of a bare process of Node it may be. */
const LITTLE = 0.002;
const TIMES_BARE = 10;

describe('outrider up', function () {
  this.timeout(60_000);

  const running = new SuiteMesh(meshFile({ replicas: 2, attemptTimeout: '4s' }));

  const modelOf = async ({ admin: address }: SidecarFacts): Promise<ModelReport> =>
    (await reportOf(address)).model!;

  it('reads a handwritten seven through two sidecars', async () => {
    const answer = await running.infer();
    assert.equal(answer.stderr, '');
    assert.match(answer.stdout, /^7 {2}\(\d+\.\d %\)/);
    assert.equal(answer.code, 0);
  });

  it('finds the running mesh by itself when infer and status are given no address', async () => {
    const here = { TMPDIR: running.mesh.temporary };
    const answer = await outrider(['infer', 'digits', '--input', `@${SEVEN}`], here);
    assert.match(answer.stdout, /^7 /);
    const status = await outrider(['status'], here);
    assert.equal(status.code, 0);
    for (const name of ['digits-1', 'digits-2', 'client', 'eligible'])
      assert.ok(status.stdout.includes(name), status.stdout);
    const json = JSON.parse((await outrider(['status', '--json', '--admin', running.caller.admin])).stdout);
    assert.deepEqual(
      [json[0].name, json[0].pid, json[0].endpoints.length],
      ['client', running.caller.pid, 2],
    );
    const named = await outrider(['status', '--mesh', join(running.mesh.temporary, 'mesh.yaml')], here);
    assert.match(named.stdout, /^digits-2 /m);
    const [replica] = JSON.parse((await outrider(['status', '--json', 'digits-1'], here)).stdout);
    assert.ok(statSync(replica.log).isFile(), replica.log);
    const other = await outrider(['status', '--mesh', 'mesh-config/demo.yaml'], here);
    assert.deepEqual([other.code, other.stdout], [1, '']);
    assert.match(other.stderr, /^outrider: no mesh of .*\/demo\.yaml runs here; running: .*\/mesh\.yaml /);
    const page = await admin(running.caller.admin, '/');
    assert.equal(page.status, 200);
    assert.match(page.body, /digits-1[\s\S]*eligible/);
  });

  it('shows a call to outrider tap as it ends, and has nothing that outrider check finds', async () => {
    const here = { TMPDIR: running.mesh.temporary };
    const tap = outrider(
      ['tap', 'outbound', 'method=ModelInfer', '--count', '2', '--json', '--admin', running.caller.admin],
      here,
    );
    let isOver = false;
    void tap.then(() => {
      isOver = true;
    });
    const client = new TestClient(running.target);
    afterTest(() => client.close());
    await until('two calls were shown', async () => (await codeOfDigit(client)) !== 0 || isOver);
    const { code, stdout } = await tap;
    // The first may have begun before the tap was there.
    const { sidecar, status, attempts } = JSON.parse(stdout.trim().split('\n')[1]!);
    assert.deepEqual([code, sidecar, status, attempts.length], [0, 'client', 'OK', 1]);
    const checked = await outrider(['check'], here);
    assert.equal(checked.code, 0, checked.stdout);
    assert.match(checked.stdout, /ok +sidecar +client is ready/);
  });

  it('has metrics of which promtool warns for the names of Triton alone, as METRICS says', async function () {
    const program = join(dirname(await toolOrSkip(this, 'prometheus')), 'promtool');
    for (const { admin: address } of [running.caller, running.replicas[0]!]) {
      const { body } = await admin(address, '/metrics');
      const { stdout, stderr } = spawnSync(program, ['check', 'metrics'], { input: body, encoding: 'utf8' });
      const warnings = `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
      assert.deepEqual(
        warnings.filter((line) => !line.startsWith('nv_inference_')),
        [],
      );
    }
  });

  it('is left alone by drills that its file does not allow, and by those that do not exist', async () => {
    const here = { TMPDIR: running.mesh.temporary };
    const replicas = running.facts.sidecars.filter(({ name }) => name.startsWith('digits'));
    const before = await Promise.all(replicas.map(modelOf));
    const calls = async () => (await reportOf(running.caller.admin)).calls!.outbound;
    const callsBefore = await calls();
    const refused = await outrider(['chaos', '--mesh'], here);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /this mesh does not allow these scenarios; nothing was changed\n/);
    for (const { name, admin: address } of replicas)
      assert.ok(
        refused.stderr.includes(`${name} (${address}): fault_injection: found false; expected processes`),
        refused.stderr,
      );
    const calm = await outrider(['chaos', 'slow', '--mesh', running.caller.admin], here);
    assert.match(calm.stderr, /fault_injection: found false; expected true or processes/);
    const unknown = await outrider(['chaos', 'kil', '--mesh'], here);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /there is no scenario for a running mesh kil; did you mean kill\?/);
    const kill = await admin(replicas[0]!.admin, '/faults?process=kill', 'POST');
    assert.equal(kill.status, 403);
    assert.deepEqual(await Promise.all(replicas.map(modelOf)), before);
    assert.equal(await calls(), callsBefore);
  });

  it('keeps its files from other users', async () => {
    const { runDirectory } = running.facts;
    const entries = readdirSync(runDirectory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory() || entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    assert.ok(entries.length > 0);
    const open = [runDirectory, ...entries].filter((path) => (statSync(path).mode & 0o077) !== 0);
    assert.deepEqual(open, []);
  });

  it('uses at most 0.2 % of a core per sidecar while nothing happens, or little more than Node itself', async () => {
    // Windows, because what a process still has to do after its start (compiling, one collection of garbage) is not idleness.
    const windowMs = 4_000;
    // What a wake-up costs depends on the machine and on how deep it sleeps: a bare process that wakes up five times a second says it.
    const bare = spawn(process.execPath, ['-e', 'setInterval(() => {}, 200)'], { stdio: 'ignore' });
    afterTest(() => void bare.kill());
    let most = LITTLE;
    const best = running.facts.sidecars.map(() => 1);
    for (let window = 0; window < 6 && best.some((share) => share > most); window++) {
      const bareBefore = cpuTimeNs(bare.pid!);
      const before = running.facts.sidecars.map((sidecar) => cpuTimeNs(sidecar.pid));
      await delay(windowMs);
      running.facts.sidecars.forEach((sidecar, i) => {
        best[i] = Math.min(best[i]!, (cpuTimeNs(sidecar.pid) - before[i]!) / 1e6 / windowMs);
      });
      // Not the first one, in which it starts.
      if (window > 0)
        most = Math.max(most, (TIMES_BARE * (cpuTimeNs(bare.pid!) - bareBefore)) / 1e6 / windowMs);
    }
    const shares = best.map((share) => `${(share * 100).toFixed(2)} %`).join(', ');
    assert.ok(
      best.every((share) => share <= most),
      `shares of a core: ${shares}, at most ${(most * 100).toFixed(2)} %`,
    );
  });

  it('starts a model again that was killed, is not ready meanwhile, and loses no call', async () => {
    const [replica] = running.replicas;
    const before = await modelOf(replica!);
    process.kill(before.pid!, 'SIGKILL');
    const down = await until('the sidecar is not ready', async () => {
      const reply = await admin(replica!.admin, '/ready');
      return reply.status === 503 && reply.body;
    });
    assert.match(down, /model: .*(killed by SIGKILL|starting again)/);
    assert.equal((await admin(replica!.admin, '/live')).status, 200);
    assert.equal((await running.infer()).code, 0);
    await until('the replica is ready again', () => isReady(replica!.admin));
    const after = await modelOf(replica!);
    assert.equal(after.restarts, before.restarts + 1);
    assert.notEqual(after.pid, before.pid);
    assert.ok(running.mesh.events.some(({ event, name }) => event === 'model' && name === replica!.name));
  });

  it('kills a model that froze and starts it again', async () => {
    const replica = running.replicas[1]!;
    const client = new TestClient(running.target);
    afterTest(() => client.close());
    await until('its run time is known', async () => {
      await codeOfDigit(client);
      const { body } = await admin(replica.admin, '/metrics');
      return /^outrider_calls_total\{direction="inbound".*ModelInfer.*grpc_status="OK"\} [1-9]/m.test(body);
    });
    const before = await modelOf(replica);
    process.kill(before.pid!, 'SIGSTOP');
    await until('the frozen model is gone', () => !isRunning(before.pid!), 20_000);
    const after = await until('another one is ready', async () => {
      const model = await modelOf(replica);
      return model.state === 'ready' && model;
    });
    assert.equal(after.restarts, before.restarts + 1);
  });

  it('starts a sidecar again that was killed, and its model with it', async () => {
    const [replica] = running.replicas;
    const modelPid = (await modelOf(replica!)).pid!;
    process.kill(replica!.pid, 'SIGKILL');
    await until('the model died with its sidecar', () => !isRunning(modelPid));
    await until('both are back', () => isReady(replica!.admin));
    assert.equal((await running.infer()).code, 0);
  });

  it('drains on Ctrl-C and leaves nothing, though a model and a sidecar are frozen', async () => {
    const model = (await modelOf(running.replicas[1]!)).pid!;
    process.kill(model, 'SIGSTOP');
    process.kill(running.caller.pid, 'SIGSTOP');
    await until('both are frozen', () => isStopped(model) && isStopped(running.caller.pid));
    running.mesh.signal('SIGINT');
    const { code, stderr } = await running.mesh.outcome;
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(running.mesh.processes(), []);
    assert.deepEqual(runDirectories(running.mesh.temporary), []);
  });
});
