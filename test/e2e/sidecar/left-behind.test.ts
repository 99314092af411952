/**
 * What a model has started ends with its sidecar, however that ends. The model is a shell script that starts its server in a session of
 * its own, where neither the kernel's parent-death signal nor a signal to the process group reaches it.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterTest } from '../../kit/mocha/after-test.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { Mesh, Scratch } from '../../kit/process/outrider.js';
import { childrenOf, isRunning, processesWith, until } from '../../kit/process/processes.js';
import { SidecarProcess, TINY_MODEL } from '../../kit/process/sidecars.js';

const GONE_MS = 10_000;

describe('what a model has started', function () {
  this.timeout(90_000);

  const scratch = scratchForEach();
  const pids = new Set<number>();

  afterEach(() => {
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    pids.clear();
  });

  /** `mark` in the command line tells the servers of one sidecar apart. */
  const wrapped = (mark: string) => `setsid ${TINY_MODEL.join(' ')} plain ${mark} & wait`;
  const serversOf = (mark: string): number[] => {
    const found = processesWith(`tiny-model-process.js plain ${mark}`).filter(
      (pid) => !processesWith('setsid').includes(pid),
    );
    for (const pid of found) pids.add(pid);
    return found;
  };
  const gone = (pid: number) => until(`process ${pid} is gone`, () => !isRunning(pid), GONE_MS);

  interface Started {
    readonly sidecar: SidecarProcess;
    readonly server: number;
  }

  async function start(service: string, mark: string, where = scratch.path): Promise<Started> {
    const file = {
      service,
      admin: '127.0.0.1:0',
      drain_timeout: '200ms',
      inbound: {
        listen: '127.0.0.1:0',
        mtls: 'off',
        local: `unix:${join(where, `${service}.sock`)}`,
        intentions: [{ from: '*', to: service, action: 'allow' }],
      },
    };
    const path = join(where, `${service}.yaml`);
    writeFileSync(path, JSON.stringify(file));
    const onStart = ({ pid }: SidecarProcess): void => void pids.add(pid);
    const sidecar = await SidecarProcess.start(path, { model: ['sh', '-c', wrapped(mark)], onStart });
    await sidecar.ready();
    const server = await until('the server runs', () => serversOf(mark)[0]);
    return { sidecar, server };
  }

  const ways: readonly [string, NodeJS.Signals][] = [
    ['was killed', 'SIGKILL'],
    ['crashed', 'SIGSEGV'],
    ['has drained', 'SIGTERM'],
  ];
  describe('beside another sidecar and its model', () => {
    let shared: Scratch;
    let other: Started;

    before(async () => {
      shared = new Scratch();
      other = await start('other', `b${process.pid}`, shared.path);
      // It lives on between the tests.
      pids.clear();
    });
    after(async () => {
      for (const pid of [other?.sidecar.pid, other?.server])
        if (pid !== undefined && isRunning(pid)) process.kill(pid, 'SIGKILL');
      await other?.sidecar.exited;
      shared.remove();
    });

    for (const [what, signal] of ways)
      it(`ends when the sidecar ${what}, and that of another sidecar goes on`, async () => {
        const { sidecar, server } = await start('tiny', `a${process.pid}${signal}`);
        const unrelated = spawn('sleep', ['3600'], { stdio: 'ignore', detached: true });
        pids.add(unrelated.pid!);
        process.kill(sidecar.pid, signal);
        await sidecar.exited;
        await gone(server);
        assert.deepEqual([isRunning(other.server), isRunning(unrelated.pid!)], [true, true]);
        assert.equal((await other.sidecar.report()).model!.restarts, 0);
      });
  });

  it('ends before the next start of the model, when the model alone crashes', async () => {
    const mark = `c${process.pid}`;
    const { sidecar, server } = await start('tiny', mark);
    const { pid } = (await sidecar.report()).model!;
    process.kill(pid!, 'SIGKILL');
    await gone(server);
    await sidecar.ready();
    const next = await until('another server runs', () => serversOf(mark).find((each) => each !== server));
    assert.equal(isRunning(next), true);
    await sidecar.stop();
    await gone(next);
  });

  it('goes on while a successor takes over: only that of the predecessor ends', async () => {
    const mark = `d${process.pid}`;
    const { sidecar, server } = await start('tiny', mark);
    const guardian = await until('it has a guardian', () =>
      childrenOf(sidecar.pid).find((pid) => processesWith('outrider-guardian tiny-').includes(pid)),
    );
    process.kill(sidecar.pid, 'SIGUSR2');
    const successor = await until('a successor accepts', () => {
      return Number(/"successor":(\d+)/.exec(sidecar.output)?.[1]);
    });
    pids.add(successor);
    await sidecar.exited;
    await gone(server);
    const [next, ...more] = serversOf(mark);
    assert.deepEqual(more, []);
    // The guardian of the predecessor has nothing left to do once it is gone.
    await gone(guardian);
    assert.deepEqual([isRunning(successor), isRunning(next!)], [true, true]);
    process.kill(successor, 'SIGKILL');
    await gone(next!);
  });

  const fleet: readonly [string, NodeJS.Signals][] = [
    ['was killed', 'SIGKILL'],
    ['was asked to end', 'SIGTERM'],
  ];
  // A mesh for each of them.
  for (const [what, signal] of EFFORT > 1 ? fleet : fleet.slice(0, 1))
    it(`ends when outrider up ${what}`, async () => {
      const mark = `e${process.pid}${signal}`;
      const command = JSON.stringify(['sh', '-c', wrapped(mark)]);
      const env = '{ OUTRIDER_MODEL_LISTEN: "{address}" }';
      const mesh =
        Mesh.start(`caller: { name: client, admin: "127.0.0.1:0", upstreams: { tiny: { listen: "127.0.0.1:0" } } }
services:
  tiny: { command: ${command}, model: { env: ${env} } }
`);
      afterTest(() => mesh.discard());
      await mesh.ready();
      const server = await until('the server runs', () => serversOf(mark)[0]);
      mesh.signal(signal);
      await mesh.outcome;
      await gone(server);
    });
});
