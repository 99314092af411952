import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { StderrWriter, type Writing } from '../../../../sidecar/runtime/log/stderr-writer.js';

/** A system that answers when it is told to. */
class Slow implements Writing {
  content = '';
  fault: string | undefined;
  room = Number.POSITIVE_INFINITY;
  private pending: (() => void) | undefined;
  /** What waits for its time. */
  private later: (() => void)[] = [];
  sleptMs = 0;

  write(...[buffer, start, done]: Parameters<Writing['write']>): void {
    assert.equal(this.pending, undefined, 'one write at a time');
    this.pending = () => {
      this.pending = undefined;
      try {
        done(null, this.writeSync(buffer, start));
      } catch (error) {
        done(error as Error, 0);
      }
    };
  }

  writeSync(buffer: Buffer, start: number): number {
    if (this.fault !== undefined) throw Object.assign(new Error(this.fault), { code: this.fault });
    const n = Math.min(this.room, buffer.length - start);
    this.content += buffer.toString('utf8', start, start + n);
    return n;
  }

  after(ms: number, then: () => void): void {
    assert.equal(ms, 20);
    this.later.push(then);
  }

  sleep(ms: number): void {
    this.sleptMs += ms;
  }

  /** The time has come for what waits. */
  pass(): void {
    for (const then of this.later.splice(0)) then();
  }

  /** Answers what was asked, and what is asked then. */
  go(): void {
    while (this.pending !== undefined) this.pending();
  }
}

describe('StderrWriter', () => {
  let system: Slow;
  let out: StderrWriter;

  beforeEach(() => {
    system = new Slow();
    out = new StderrWriter(system);
  });

  it('standard error writes lines in order, however little is taken at once', () => {
    system.room = 3;
    for (const line of ['one\n', 'two\n', 'three\n']) out.write(line);
    system.go();
    assert.equal(system.content, 'one\ntwo\nthree\n');
    assert.equal(out.dropped, 0);
  });

  it('standard error holds no more than its bound', () => {
    const line = `${'x'.repeat(1_023)}\n`;
    for (let i = 0; i < 3_000; i++) out.write(line);
    assert.ok(out.dropped > 1_900 && out.dropped < 2_000, `dropped ${out.dropped}`);
    system.go();
    assert.equal(system.content.length, (3_000 - out.dropped) * 1_024);
  });

  for (const fault of ['ENOSPC', 'EPIPE', 'EIO'])
    it(`standard error drops and counts what ${fault} keeps from being written, and goes on after`, () => {
      system.fault = fault;
      for (let i = 0; i < 10; i++) out.write('lost\n');
      system.go();
      assert.equal(out.dropped, 10);
      out.flush();
      system.fault = undefined;
      out.write('kept\n');
      system.go();
      assert.equal(system.content, 'kept\n');
    });

  it('standard error waits for a pipe that is full', () => {
    system.fault = 'EAGAIN';
    out.write('one\n');
    system.go();
    out.write('two\n');
    system.pass();
    system.go();
    assert.equal(system.content, '', 'it is full still');
    system.fault = undefined;
    system.go();
    assert.equal(system.content, '', 'it is not tried before its time');
    system.pass();
    system.go();
    assert.deepEqual([system.content, out.dropped], ['one\ntwo\n', 0]);
  });

  it('standard error writes what is held at the end, without what the system has already', () => {
    out.write('begun\n');
    out.write('held\n');
    out.flush();
    assert.equal(system.content, 'held\n');
    system.go();
    assert.equal(system.content, 'held\nbegun\n');
    out.write('after\n');
    system.go();
    assert.equal(system.content, 'held\nbegun\nafter\n');
  });

  it('standard error gives up at the end when nothing is taken', () => {
    system.fault = 'EAGAIN';
    out.write('one\n');
    system.go();
    out.flush();
    assert.equal(system.sleptMs, 500, 'half a second for a pipe that is full');
    system.fault = 'ENOSPC';
    out.flush();
    assert.deepEqual([system.content, system.sleptMs], ['', 500]);
  });

  it('standard error on a full disk neither ends the process nor keeps it from ending', () => {
    const logger = new URL('../../../../sidecar/runtime/log/logger.js', import.meta.url);
    const program = `
      const { createLogger } = await import(${JSON.stringify(logger)});
      const logger = createLogger({ level: 'info' });
      for (let i = 0; i < 20; i++) {
        logger.info({}, 'lost');
        await new Promise(setImmediate);
      }
      logger.info({}, 'lost at the end');
      logger.flush();
      process.stdout.write('reached the end');`;
    const args = ['--input-type=module', '--eval', program];
    const stdio = ['ignore', 'pipe', openSync('/dev/full', 'w')] as const;
    const cwd = fileURLToPath(new URL('.', import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, args, { stdio: [...stdio], timeout: 15_000, cwd });
    assert.deepEqual([status, String(stdout)], [0, 'reached the end']);
  });
});
