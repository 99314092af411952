/**
 * A mesh whose run directory has no room left: a file system of its own, in memory and small, is filled to the last
 * byte while calls run, and leaves live for ten seconds. Needs the right to mount.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { digitLoad } from '../../drills/faults/digit-load.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { admin, Mesh, Scratch, type UpFacts } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';

/** Least that the mesh file takes. */
const LEAF_MS = 10_000;

describe('outrider up on a full disk', function () {
  this.timeout(90_000);

  let scratch: Scratch;
  let folder: string;
  let mesh: Mesh | undefined;

  before(function () {
    scratch = new Scratch();
    folder = join(scratch.path, 'small');
    mkdirSync(folder);
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder]);
    if (status === 0) return;
    process.stderr.write('\nSKIPPING a full disk: this user may not mount one\n');
    scratch.remove();
    this.skip();
  });

  after(async () => {
    await mesh?.discard();
    spawnSync('umount', [folder]);
    scratch.remove();
  });

  it('renews leaves all the same, for a sidecar that starts again too, and writes them when there is room', async () => {
    const run = `run_dir: ${join(folder, 'run')}\nleaf_lifetime: ${LEAF_MS / 1000}s\n`;
    // Less than the leaves live, and enough for a machine that is busy with other tests.
    const text = meshFile({ attemptTimeout: '2s', more: run });
    mesh = Mesh.start(text);
    const facts = await mesh.ready();
    const replica = facts.sidecars.find((sidecar) => sidecar.role === 'replica')!;
    const ballast = join(folder, 'ballast');
    fill(ballast);
    const load = await digitLoad({ target: facts.call['digits']!, perSecond: 20, deadlineMs: 5_000 });
    // The oldest leaf on the disk has expired after this, whenever it was written.
    await delay(1.15 * LEAF_MS);
    await load.stop();
    assert.deepEqual(load.failures, [], `of ${load.sent}`);

    process.kill(replica.pid, 'SIGKILL');
    let last = '';
    await until(
      'another is ready, with a leaf that its files do not hold',
      async () => {
        const reply = admin(replica.admin, '/ready').then(({ status, body }) => `${status} ${body}`);
        last = await reply.catch(String);
        return last.startsWith('200 ');
      },
      45_000,
    ).catch((error: Error) => {
      const events = mesh!.events.slice(-12).map((event) => JSON.stringify(event));
      throw new Error(`${error.message}; last: ${last}\n${events.join('\n')}`);
    });
    rmSync(ballast);
    const old = leavesOnDisk(facts);
    await until('the files follow', () => leavesOnDisk(facts).every((leaf, i) => leaf !== old[i]), 30_000);
    mesh.signal('SIGTERM');
    const { stderr } = await mesh.outcome;
    assert.match(stderr, /new certificate of digits-1 cannot be written and is kept in memory: ENOSPC/);
  });
});

/** Until nothing more goes in. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  const block = Buffer.alloc(4096);
  try {
    for (;;) writeSync(file, block);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    closeSync(file);
  }
}

function leavesOnDisk({ runDirectory, sidecars }: UpFacts): string[] {
  return sidecars.map(({ name }) => readFileSync(join(runDirectory, 'identity', name, 'cert.pem'), 'utf8'));
}
