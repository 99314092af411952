/**
 * The access log of a real sidecar whose disk is full: no call may notice. The disk is 64 KiB of memory where this user
 * may mount one, else the device that is always full.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { clientOf } from '../../../sidecar/cli/chaos/protocol/call.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { Load, summarize } from '../../drills/faults/load.js';
import { Model } from '../../drills/faults/model.js';
import { admin } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';

const PER_SECOND = 150;

interface Line {
  readonly direction: string;
  readonly status: string;
  readonly attempts: readonly { readonly endpoint: string }[];
}

describe('the access log of a sidecar', function () {
  this.timeout(60_000);

  let bench: SidecarBench;
  let model: Model;
  let sidecar: SidecarProcess;
  let load: Load;
  let disk: string;
  let isMounted: boolean;
  let path: string;

  before(async () => {
    bench = await SidecarBench.open();
    model = await Model.start({ serviceMs: 1 });
    disk = join(bench.directory, 'disk');
    mkdirSync(disk);
    isMounted = mountSmall(disk);
    path = join(disk, 'calls.log');
    sidecar = await bench.start('app', {
      service: 'app',
      access_log: { path },
      outbound: {
        upstreams: { digits: { listen: '127.0.0.1:0', tls: 'plaintext', endpoints: [model.address] } },
      },
    });
    const target = writeAddress(sidecar.address('upstream digits'));
    load = await Load.start({ target, perSecond: PER_SECOND, deadlineMs: 5_000 });
  });

  after(async () => {
    await load?.stop();
    await model?.kill();
    await sidecar?.stop();
    if (isMounted) execFileSync('umount', [disk]);
    await bench?.close();
  });

  const lines = (file: string): Line[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  const written = () => sidecar.metric('outrider_access_log_lines_total');
  const dropped = () => sidecar.metric('outrider_access_log_dropped_total');
  /** No call since then has failed, and there were some. */
  const allWell = async (fromMs: number): Promise<void> => {
    await until('there are enough calls to judge by', () => performance.now() > fromMs + 1_000);
    const { sent, failed, failures } = summarize(await load.between(fromMs, performance.now()));
    assert.ok(sent > 100, `${sent} calls`);
    assert.equal(failed, 0, JSON.stringify(failures));
  };

  it('has a line for every call', async () => {
    const startMs = performance.now();
    await until('there are some', async () => (await written()) >= 60);
    for (const line of lines(path)) {
      assert.deepEqual([line.direction, line.status, line.attempts.length], ['outbound', 'OK', 1]);
      assert.equal(line.attempts[0]?.endpoint, model.address);
    }
    await allWell(startMs);
  });

  it('loses lines and no calls while the disk is full, and goes on when there is room', async () => {
    const startMs = performance.now();
    if (!isMounted) {
      unlinkSync(path);
      symlinkSync('/dev/full', path);
      process.kill(sidecar.pid, 'SIGHUP');
    }
    await until('lines are dropped', async () => (await dropped()) > PER_SECOND, 30_000);
    await allWell(startMs);
    assert.match(sidecar.output, /lines of the access log are dropped; calls go on/);
    const before = await written();

    const roomMs = performance.now();
    if (isMounted) writeFileSync(path, '');
    else rmSync(path);
    await until('lines are written again', async () => (await written()) > before + 30);
    await allWell(roomMs);
    // What was cut short by the end of the disk was completed, unless it was cut out of the file.
    const text = readFileSync(path, 'utf8');
    for (const line of text.split('\n').slice(1, -1)) assert.equal((JSON.parse(line) as Line).status, 'OK');
  });

  it('goes on in a new file when the old one is moved away, at once after SIGHUP', async () => {
    const startMs = performance.now();
    if (isMounted) writeFileSync(path, '');
    const old = join(disk, 'calls.log.1');
    renameSync(path, old);
    process.kill(sidecar.pid, 'SIGHUP');
    await until('there is a new file', () => {
      // Until SIGHUP is seen the lines go on filling the old file, and the small disk with it.
      if (isMounted) truncateSync(old);
      return existsSync(path) && lines(path).length > 5;
    });
    await allWell(startMs);
  });

  it('has each line in the file once a drain has ended', async () => {
    const file = join(bench.directory, 'drained.log');
    const drained = await bench.start('drained', {
      service: 'app',
      access_log: { path: file },
      outbound: {
        upstreams: { digits: { listen: '127.0.0.1:0', tls: 'plaintext', endpoints: [model.address] } },
      },
    });
    const client = clientOf(writeAddress(drained.address('upstream digits')));
    try {
      // It answers UNIMPLEMENTED, which is a line as well.
      await new Promise((resolve) => {
        const bytes = (value: Buffer): Buffer => value;
        client.makeUnaryRequest('/no.Service/Method', bytes, bytes, Buffer.alloc(0), resolve);
      });
      assert.equal((await admin(drained.adminAddress, '/drain?wait', 'POST')).status, 200);
      assert.equal(lines(file).length, 1);
    } finally {
      client.close();
      await drained.stop();
    }
  });
});

function mountSmall(directory: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]).status === 0;
}
