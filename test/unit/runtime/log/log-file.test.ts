import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { LogFile, type LogFileSystem } from '../../../../sidecar/runtime/log/log-file.js';
import { createLogger } from '../../../../sidecar/runtime/log/logger.js';
import { systemClock } from '../../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';
import { until } from '../../../kit/process/processes.js';
import { silentLogger } from '../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

/** A disk of a script: room for so many bytes, and what goes wrong. */
class Disk implements LogFileSystem {
  content = '';
  room = Number.POSITIVE_INFINITY;
  identity = 'first';
  opened = 0;
  closed = 0;
  isStuck = false;
  isTorn = false;
  openFault: string | undefined;
  fault = 'ENOSPC';
  private readonly stuck: (() => void)[] = [];

  async open() {
    if (this.openFault !== undefined) throw faultOf(this.openFault);
    this.opened++;
    const { identity } = this;
    return {
      identity,
      isTorn: this.isTorn,
      write: (buffer: Buffer, start: number) => this.write(buffer, start),
      close: async () => {
        this.closed++;
      },
    };
  }

  async identityOf() {
    return this.identity;
  }

  release(): void {
    this.isStuck = false;
    for (const go of this.stuck.splice(0)) go();
  }

  private async write(buffer: Buffer, start: number): Promise<number> {
    if (this.isStuck) await new Promise<void>((resolve) => this.stuck.push(resolve));
    const n = Math.min(this.room, buffer.length - start);
    if (n === 0) throw faultOf(this.fault);
    this.room -= n;
    this.content += buffer.toString('utf8', start, start + n);
    return n;
  }
}

function faultOf(code: string): Error {
  return Object.assign(new Error(`${code}: it does not go`), { code });
}

describe('LogFile', () => {
  let clock: ManualClock;
  let disk: Disk;
  let file: LogFile;
  let logged: string[];

  beforeEach(() => {
    clock = new ManualClock();
    disk = new Disk();
    logged = [];
    const destination = { write: (line: string) => void logged.push(line) };
    const logger = createLogger({ level: 'info', destination });
    file = new LogFile('/log/calls', { clock, timers: clock, logger, system: disk });
  });

  /** Promises that are due, one after another. */
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await Promise.resolve();
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };
  /** Writes lines, and lets them reach the disk. */
  const put = async (...lines: readonly string[]): Promise<void> => {
    for (const line of lines) file.write(`${line}\n`);
    await pass(100);
  };
  const counts = (): number[] => [file.written, file.dropped];

  it('a log file gathers lines for a moment, and writes them in order', async () => {
    file.write('one\n');
    file.write('two\n');
    await settle();
    assert.equal(disk.content, '');
    await pass(100);
    assert.equal(disk.content, 'one\ntwo\n');
    await put('three');
    assert.deepEqual([disk.content, disk.opened], ['one\ntwo\nthree\n', 1]);
    assert.deepEqual(counts(), [3, 0]);
  });

  it('a log file writes what it has when it is asked, and takes more', async () => {
    file.write('one\n');
    let isDone = false;
    void file.flush().then(() => {
      isDone = true;
    });
    await settle();
    assert.deepEqual([disk.content, isDone], ['one\n', true]);
    await put('two');
    assert.equal(disk.content, 'one\ntwo\n');
    await pass(1_000);
    assert.equal(clock.pending(), 0);
  });

  it('a log file keeps nobody waiting for longer than a second while the disk hangs', async () => {
    disk.isStuck = true;
    file.write('one\n');
    let isDone = false;
    void file.flush().then(() => {
      isDone = true;
    });
    await pass(999);
    assert.equal(isDone, false);
    await pass(1);
    assert.equal(isDone, true);
    disk.release();
    await settle();
    assert.deepEqual([disk.content, ...counts()], ['one\n', 1, 0]);
  });

  it('a log file writes at once when much has come', async () => {
    for (let i = 0; i < 700; i++) file.write(`${'x'.repeat(99)}\n`);
    await settle();
    assert.equal(disk.content.length, 70_000);
    assert.deepEqual(counts(), [700, 0]);
    await pass(1_000);
    assert.equal(clock.pending(), 0);
  });

  it('a log file drops and counts when the disk is full, and goes on when it is not', async () => {
    disk.room = 6;
    await put('one', 'two', 'three');
    assert.equal(disk.content, 'one\ntw');
    assert.deepEqual(counts(), [1, 1]);
    file.write('four\n');
    assert.deepEqual(counts(), [1, 2]);
    await pass(1_000);
    await put('five');
    assert.deepEqual(counts(), [1, 3]);
    disk.room = Number.POSITIVE_INFINITY;
    await pass(1_000);
    await put('six');
    // The line that was torn is whole.
    assert.equal(disk.content, 'one\ntwo\nsix\n');
    assert.deepEqual(counts(), [3, 3]);
    assert.equal(disk.closed, 2);
    const messages = logged.map((line) => JSON.parse(line).message);
    const [lost, back] = [
      'lines of the access log are dropped; calls go on',
      'the access log is written again',
    ];
    assert.deepEqual(messages, [lost, back]);
    assert.match(logged[0]!, /ENOSPC/);
  });

  it('a log file leaves the rest of a torn line out of another file', async () => {
    disk.room = 6;
    await put('one', 'two');
    disk.room = Number.POSITIVE_INFINITY;
    disk.identity = 'second';
    disk.content = '';
    await pass(1_000);
    await put('three');
    assert.equal(disk.content, 'three\n');
    assert.deepEqual(counts(), [2, 1]);
  });

  it('a log file begins a new line after one that another process has left unfinished', async () => {
    disk.isTorn = true;
    disk.content = 'half';
    await put('one', 'two');
    assert.equal(disk.content, 'half\none\ntwo\n');
    assert.deepEqual(counts(), [2, 0]);
  });

  it('a log file holds no more than its bound while the disk hangs', async () => {
    disk.isStuck = true;
    const line = `${'x'.repeat(1_023)}\n`;
    for (let i = 0; i < 5_000; i++) {
      file.write(line);
      if (i % 100 === 0) await settle();
    }
    assert.ok(file.dropped > 3_800 && file.dropped < 4_000, `dropped ${file.dropped}`);
    assert.equal(file.written, 0);
    disk.release();
    for (let i = 0; i < 50; i++) await settle();
    assert.equal(file.written + file.dropped, 5_000);
    assert.equal(disk.content.length, file.written * 1_024);
  });

  it('a log file waits for a pipe whose reader is slow, and forgets nothing it took', async () => {
    disk.room = 2;
    disk.fault = 'EAGAIN';
    await put('one');
    assert.equal(disk.content, 'on');
    disk.room = 100;
    await pass(50);
    assert.equal(disk.content, 'one\n');
    assert.deepEqual(counts(), [1, 0]);
  });

  it('a log file drops while the file cannot be opened', async () => {
    disk.openFault = 'ENXIO';
    for (let i = 0; i < 20; i++) await put('line');
    assert.ok(file.dropped > 10);
    assert.equal(file.written, 0);
    disk.openFault = undefined;
    await pass(2_000);
    await put('last');
    assert.ok(disk.content.endsWith('last\n'));
    assert.equal(file.written + file.dropped, 21);
  });

  it('a log file opens the file anew when it was moved away, and when it is told to', async () => {
    await put('one');
    disk.identity = 'second';
    await pass(2_000);
    await put('two');
    assert.deepEqual([disk.opened, disk.closed], [2, 1]);
    file.reopen();
    await put('three');
    assert.deepEqual([disk.opened, disk.closed], [3, 2]);
    assert.deepEqual(counts(), [3, 0]);
  });

  it('a log file reports a disk that is full again and again once a minute', async () => {
    for (let i = 0; i < 100; i++) {
      disk.room = i % 2 === 0 ? 0 : 100;
      file.write('line\n');
      await pass(1_100);
    }
    assert.ok(logged.length <= 6, `${logged.length} lines`);
  });

  it('a log file writes what it holds when it is closed, and nothing after', async () => {
    file.write('one\n');
    await file.close();
    assert.equal(disk.content, 'one\n');
    file.write('two\n');
    assert.deepEqual(counts(), [1, 1]);
    assert.equal(disk.closed, 1);
    assert.equal(clock.pending(), 0);
  });

  it('a log file is not kept from ending by a disk that hangs', async () => {
    disk.isStuck = true;
    file.write('one\n');
    let isDone = false;
    const closed = file.close().then(() => {
      isDone = true;
    });
    await settle();
    assert.equal(isDone, false);
    await pass(1_000);
    await closed;
    assert.equal(isDone, true);
  });

  describe('on a real file system', () => {
    let path: string;
    let real: LogFile;

    beforeEach(() => {
      path = join(scratchForTest().path, 'calls.log');
      real = new LogFile(path, { clock: systemClock, timers: systemTimers, logger: silentLogger });
    });
    afterEach(() => real.close());

    /** Writes `line` again and again until that is so. */
    const writeUntil = (what: string, line: string, isSo: () => boolean) =>
      until(what, () => {
        real.write(`${line}\n`);
        return isSo();
      });
    const content = (): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');

    it('a log file adds to what is there, for its owner and group only', async () => {
      writeFileSync(path, 'before\n');
      real.write('after\n');
      await until('it is written', () => content() === 'before\nafter\n');
      unlinkSync(path);
      real.reopen();
      real.write('new\n');
      await until('it is written', () => content() === 'new\n');
      assert.equal(statSync(path).mode & 0o027, 0);
    });

    it('a log file begins a new line after half a one', async () => {
      writeFileSync(path, 'half');
      real.write('one\n');
      await until('it is written', () => content() === 'half\none\n');
    });

    it('a log file follows a rotation by itself', async () => {
      real.write('one\n');
      await until('it is written', () => content() === 'one\n');
      renameSync(path, `${path}.1`);
      await writeUntil('a new file is made', 'two', () => content().endsWith('two\n'));
      assert.match(readFileSync(`${path}.1`, 'utf8'), /^one\n(two\n)*$/);
    });

    it('a log file outlives a full disk', async () => {
      symlinkSync('/dev/full', path);
      await writeUntil('lines are dropped', 'line', () => real.dropped > 5);
      assert.equal(real.written, 0);
      unlinkSync(path);
      await writeUntil('lines are written again', 'line', () => content().length > 0);
      assert.match(content(), /^(line\n)+$/);
    });

    it('a log file does not wait for the reader of a pipe', async () => {
      execFileSync('mkfifo', [path]);
      await writeUntil('lines are dropped', 'line', () => real.dropped > 5);
      assert.equal(real.written, 0);
    });
  });
});
