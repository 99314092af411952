import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { AuditFile } from '../../../../sidecar/telemetry/audit/audit-file.js';
import { AuditLog } from '../../../../sidecar/telemetry/audit/audit-log.js';
import type { AuditSigner } from '../../../../sidecar/telemetry/audit/signature.js';
import { type AuditReport, AuditVerifier } from '../../../../sidecar/telemetry/audit/verify.js';
import { TestAuthority } from '../../../kit/identity/certificates.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { until } from '../../../kit/process/processes.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const ROTATE_BYTES = 64 * 1024;

describe('the audit log of a sidecar', () => {
  const scratch = scratchForEach();
  let clock: ManualClock;
  let signer: AuditSigner | undefined;
  let path: string;
  before(async () => {
    signer = await (await TestAuthority.root()).leaf({ service: 'digits' });
  });
  beforeEach(() => {
    clock = new ManualClock();
    path = join(scratch.path, 'audit.jsonl');
  });

  const open = (
    over: { signer?: () => AuditSigner | undefined; keep?: number; file?: AuditFile } = {},
  ): AuditLog =>
    new AuditLog({
      sidecar: 'digits-1',
      file: over.file ?? new AuditFile(path, ROTATE_BYTES, over.keep ?? 3),
      logger: silentLogger,
      clock,
      timers: clock,
      signer: over.signer ?? (() => signer),
    });

  const entries = (file = path): { kind: string; n: number; [field: string]: unknown }[] =>
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  function verify(files: readonly string[] = [path]): AuditReport {
    const verifier = new AuditVerifier();
    for (const file of files)
      for (const [i, text] of readFileSync(file, 'utf8').trimEnd().split('\n').entries())
        verifier.add(text, { file, line: i + 1 });
    return verifier.end();
  }

  it('writes a line for each decision, signs them once a minute, and has no lock at its end', async () => {
    const log = open();
    log.record('endpoint-ejected', { endpoint: 'a', token: 'secret' });
    await until('it is written', () => log.written === 2);
    clock.advance(60_000);
    await until('it is signed', () => log.written === 3);
    clock.advance(60_000);
    await log.close();
    assert.deepEqual(
      entries().map(({ kind }) => kind),
      ['log-started', 'endpoint-ejected', 'checkpoint'],
      'nothing new is signed',
    );
    assert.equal(entries()[1]!['token'], '[redacted]');
    assert.deepEqual([verify().fault, verify().unsigned], [undefined, 0]);
    assert.deepEqual(readdirSync(scratch.path), ['audit.jsonl']);
  });

  it('ends well where its lock is gone', async () => {
    const log = open();
    log.record('drain-began', {});
    await until('it is written', () => log.written === 2);
    rmSync(`${path}.lock`);
    await log.close();
    assert.deepEqual(readdirSync(scratch.path), ['audit.jsonl']);
  });

  it('goes on with the chain of the process before, whose last line may be torn', async () => {
    const first = open();
    first.record('drain-began', {});
    await first.close();
    appendFileSync(path, '{"n":4,"at":"2026');
    const second = open();
    second.record('drain-began', {});
    await second.close();
    assert.deepEqual(verify().fault, undefined);
    assert.equal(entries()[3]!['cut_bytes'], 17);
  });

  it('waits for a file that another process still writes, and takes over a lock that a dead one has left', async () => {
    writeFileSync(`${path}.lock`, `${process.ppid} of another start`);
    const first = open();
    first.record('drain-began', {});
    await until('it is written', () => first.written === 2);
    await first.close();
    const stat = readFileSync(`/proc/${process.ppid}/stat`, 'latin1');
    const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    writeFileSync(`${path}.lock`, `${process.ppid} ${startTime}`);
    const second = open();
    second.record('drain-began', {});
    await until('it waits', () => clock.pending() === 2);
    assert.deepEqual([second.written, second.waitingLines], [0, 1]);
    rmSync(`${path}.lock`);
    clock.advance(1_000);
    await until('it is written', () => second.written === 2);
    await second.close();
    assert.equal(verify().fault, undefined);
  });

  it('keeps decisions while the disk takes none, and counts in the chain what found no room', async () => {
    const directory = join(scratch.path, 'gone');
    path = join(directory, 'audit.jsonl');
    const log = open();
    for (let i = 0; i < 12_000; i++) log.record('call-denied', { i });
    await until('it waits', () => clock.pending() === 2);
    assert.ok(log.missed >= 2_000 && log.missed < 2_100, `${log.missed}`);
    mkdirSync(directory);
    clock.advance(1_000);
    await until('it is written', () => log.waitingLines === 0 && log.written > 10_000);
    await log.close();
    const files = readdirSync(directory).map((name) => join(directory, name));
    const gaps = files.flatMap((file) => entries(file)).filter(({ kind }) => kind === 'gap');
    assert.deepEqual(
      gaps.map(({ missing }) => missing),
      [log.missed],
    );
  });

  it('takes away the half line that a full disk has kept, and loses nothing', async function () {
    const disk = join(scratch.path, 'disk');
    mkdirSync(disk);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]).status !== 0) {
      process.stderr.write('SKIPPING: a small disk needs a user that may mount one\n');
      this.skip();
    }
    afterTest(() => assert.equal(spawnSync('umount', [disk]).status, 0));
    path = join(disk, 'audit.jsonl');
    const log = open();
    log.record('call-denied', { i: -1 });
    await until('it is written', () => log.written === 2);
    writeFileSync(join(disk, 'filler'), Buffer.alloc(40 * 1024));
    for (let i = 0; i < 100; i++) log.record('call-denied', { i, text: 'x'.repeat(200) });
    // The retry, the next checkpoint, and the lock.
    await until('it waits', () => clock.pending() === 3);
    const kept = readFileSync(path, 'utf8');
    assert.ok(kept.length > 4_096 && !kept.endsWith('\n'), 'the disk has half a line');
    rmSync(join(disk, 'filler'));
    clock.advance(1_000);
    await until('it is written', () => log.waitingLines === 0);
    await log.close();
    assert.deepEqual([verify().fault, log.missed], [undefined, 0]);
    const kinds = entries().map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === 'call-denied').length, 101);
    assert.ok(!kinds.includes('file-changed'));
  });

  it('begins a new file when one is full, keeps so many, and says when one is removed', async () => {
    const log = open({ keep: 2 });
    const names = () => readdirSync(scratch.path).sort();
    for (let round = 0; round < 40; round++) {
      const before = log.written;
      for (let i = 0; i < 20; i++) log.record('call-denied', { i, text: 'x'.repeat(400) });
      await until('they are written', () => log.written >= before + 20);
    }
    await log.close();
    assert.deepEqual(names(), ['audit.jsonl', 'audit.jsonl.1', 'audit.jsonl.2']);
    const report = verify([`${path}.2`, `${path}.1`, path]);
    assert.equal(report.fault, undefined);
    assert.ok(report.first > 1);
    const rotated = [`${path}.1`, path].map((file) => entries(file)[0]!);
    assert.ok(rotated.every(({ kind }) => kind === 'rotated'));
    assert.ok(rotated.some(({ removed }) => removed === 1));
  });

  it('begins the new file with the line that says so, when decisions are recorded while the old one is moved', async () => {
    const file = new AuditFile(path, ROTATE_BYTES, 3);
    const log = open({ file });
    const rotate = file.rotateWhenFull.bind(file);
    let during = 0;
    file.rotateWhenFull = async () => {
      const rotated = await rotate();
      if (rotated !== undefined) log.record('call-denied', { during: ++during });
      return rotated;
    };
    for (let i = 0; i < 200; i++) log.record('call-denied', { i, text: 'x'.repeat(400) });
    await until('they are written', () => during > 0 && log.waitingLines === 0);
    await log.close();
    assert.deepEqual(
      entries()
        .slice(0, 2)
        .map(({ kind, during: at }) => [kind, at]),
      [
        ['rotated', undefined],
        ['call-denied', 1],
      ],
    );
    assert.equal(verify([`${path}.1`, path]).fault, undefined);
  });

  it('says that the file was not as it was left', async () => {
    const log = open();
    log.record('drain-began', {});
    await until('it is written', () => log.written === 2);
    const whole = readFileSync(path).length;
    truncateSync(path, entries().length === 2 ? readFileSync(path, 'utf8').indexOf('\n') + 1 : whole);
    log.record('drain-began', {});
    await until('it is written', () => log.written >= 4);
    await log.close();
    const changed = entries().find(({ kind }) => kind === 'file-changed');
    assert.equal(changed?.['expected_bytes'], whole);
    assert.match(verify().fault?.why ?? '', /removed/);
  });

  it('refuses to go on after a line that is none of its own, and says why in the log of the process', async () => {
    writeFileSync(path, 'something else\n');
    const log = open();
    log.record('drain-began', {});
    await until('it waits', () => clock.pending() === 2);
    assert.equal(log.written, 0);
    await log.close();
    assert.equal(readFileSync(path, 'utf8'), 'something else\n');
  });

  it('writes checkpoints without a signature where there is no identity, or none that can sign', async () => {
    const log = open({ signer: () => undefined });
    log.record('drain-began', {});
    await log.close();
    assert.equal(entries().at(-1)!['unsigned'], true);
    rmSync(path);
    const other = open({ signer: () => ({ keyPem: 'none', certChainPem: '' }) });
    other.record('drain-began', {});
    await other.close();
    assert.match(String(entries().at(-1)!['problem']), /./);
    assert.equal(verify().checkpoints, 0);
  });

  it('signs after 256 lines without waiting for the minute, and takes nothing after its end', async () => {
    const log = open();
    for (let i = 0; i < 300; i++) log.record('call-denied', { i });
    await until('they are written', () => log.waitingLines === 0);
    assert.equal(entries().filter(({ kind }) => kind === 'checkpoint').length, 1);
    log.record('call-denied', {});
    void log.close();
    // Asked twice, it is closed for both once the file is written.
    await log.close();
    assert.equal(entries().at(-1)!.kind, 'checkpoint');
    log.record('call-denied', {});
    assert.equal(log.waitingLines, 0);
  });
});
