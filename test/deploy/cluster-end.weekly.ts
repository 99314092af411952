/** A process that has started a cluster is ended in ways in which it cannot clean up; nothing of the cluster stays on the machine. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NAMESPACE, remainsOf } from '../kit/deploy/cluster/remains.js';
import { until } from '../kit/process/processes.js';
import { installed, toolOrSkip } from '../kit/process/tools.js';

const RUN = fileURLToPath(new URL('../kit/deploy/cluster/run.js', import.meta.url));
const LIMIT_MS = 120_000;

describe('A cluster whose process ends', function () {
  this.timeout(300_000);
  before(async function () {
    if (process.getuid?.() !== 0) return this.skip();
    await toolOrSkip(this, 'containerd');
    await toolOrSkip(this, 'kubernetes-cluster');
    assert.ok(installed('kubernetes-cluster'));
  });

  for (const [what, end] of [
    // A terminal sends it to every process of the foreground.
    ['by Ctrl-C', (pid: number) => process.kill(-pid, 'SIGINT')],
    ['by SIGTERM', (pid: number) => process.kill(pid, 'SIGTERM')],
    ['by SIGKILL', (pid: number) => process.kill(pid, 'SIGKILL')],
  ] as const)
    it(`leaves nothing on the machine: ${what}`, async () => {
      const { sysctls } = remainsOf();
      const child = spawn(process.execPath, [RUN], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      const folder = await until('it is ready', () => /ready (\S+)/.exec(said)?.[1], LIMIT_MS);
      assert.ok(existsSync(folder));
      assert.notDeepEqual(remainsOf().sysctls, sysctls, 'a kubelet changes settings of the kernel');
      end(child.pid!);
      await until('its folder is gone', () => !existsSync(folder), LIMIT_MS);
      assert.deepEqual(remainsOf().sysctls, sysctls);
      const networks = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout;
      assert.doesNotMatch(networks, new RegExp(NAMESPACE));
      assert.doesNotMatch(readFileSync('/proc/mounts', 'utf8'), new RegExp(folder));
      await until('no process is left', () => spawnSync('pgrep', ['-f', folder]).status === 1);
    });
});
