import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { classOfExit, type ProcessExit } from '../../../sidecar/core/health/process-end.js';
import { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';
import { OomKills } from '../../../sidecar/supervise/oom-kills.js';
import { ProcessSigns, parseStat } from '../../../sidecar/supervise/process-state.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { childrenOf, until } from '../../kit/process/processes.js';

const SPIN = `const until = Date.now() + 60000; while (Date.now() < until);`;

function handle(argv: readonly string[], onExit: (exit: ProcessExit) => void = () => {}): ChildProcessHandle {
  const options = { env: process.env, stdout: 2, stderr: 2 } as const;
  return new ChildProcessHandle(argv, { ...options, onExit: (_, exit) => onExit(exit) });
}

describe('signs of a process', () => {
  const started: ChildProcessHandle[] = [];
  const start = (...argv: string[]): ProcessSigns & { readonly of: number } => {
    const child = handle(argv);
    started.push(child);
    return Object.assign(new ProcessSigns(child.pid!), { of: child.pid! });
  };
  afterEach(() => {
    for (const each of started.splice(0)) each.signal('SIGKILL');
  });

  it('reads state and CPU whatever the name of the command', () => {
    const text = `12 (a) b (c) S 1 12 12 0 -1 4194304 2000 0 0 0 31 9 5 2 20 0 1 0 100`;
    assert.deepEqual(parseStat(text), { state: 'S', cpuMs: 470 });
    assert.equal(parseStat('12 (cut off'), undefined);
  });

  it('tells that a process is stopped, also when a shell started it', async () => {
    const plain = start('sleep', '60');
    const wrapped = start('sh', '-c', 'sleep 61; true');
    const child = await until('the shell has a child', () => childrenOf(wrapped.of)[0]);
    // A shell that used vfork stays in state D until its child has called exec: a child that is stopped
    // before that never gets there.
    const waits = (): boolean => plain.state() === 'S' && wrapped.state() === 'S';
    await until('one sleeps, and the shell waits for the other', waits);
    process.kill(plain.of, 'SIGSTOP');
    process.kill(child, 'SIGSTOP');
    await until('both are stopped', () => plain.state() === 'T' && wrapped.state() === 'T');
    process.kill(child, 'SIGCONT');
    await until('one goes on', () => wrapped.state() === 'S');
  });

  it('counts the memory of a process and of what it started', async () => {
    const hold = 'const kept = Buffer.alloc(80 * 2 ** 20, 1); setInterval(() => kept, 1000);';
    const wrapped = start('sh', '-c', `"${process.execPath}" -e '${hold}'; true`);
    await until('it holds its memory', () => wrapped.residentBytes() > 100 * 2 ** 20);
    assert.equal(new ProcessSigns(2 ** 22 + 1).residentBytes(), -1);
  });

  it('counts CPU of a process and of what it started', async () => {
    const spins = start(process.execPath, '-e', SPIN);
    const wrapped = start('sh', '-c', `"${process.execPath}" -e '${SPIN}'; true`);
    const sleeps = start('sleep', '60');
    await until('CPU is used', () => spins.cpuMs(0) > 300 && wrapped.cpuMs(0) > 300);
    assert.ok(sleeps.cpuMs(0) < 100);
  });

  it('knows nothing of a process that is not there', () => {
    const gone = new ProcessSigns(2 ** 22 + 1);
    assert.deepEqual([gone.state(), gone.cpuMs(0), gone.isStarved(1)], ['', -1, false]);
  });
});

describe('kills for want of memory', () => {
  it('are those of the last seconds', () => {
    let counted = 3;
    const kills = new OomKills(0, () => counted);
    assert.equal(kills.hasKilled(), false);
    counted = 4;
    kills.update(1_000);
    assert.equal(kills.hasKilled(), true, 'a process takes a while to end');
    kills.update(6_000);
    assert.equal(kills.hasKilled(), true);
    kills.update(11_000);
    assert.equal(kills.hasKilled(), false);
  });

  it('are told from a kill by others, as the kernel counts them', async function () {
    const exitOf = (argv: readonly string[]) =>
      new Promise<ProcessExit>((resolve) => {
        const child = handle(argv, resolve);
        if (argv[0] === 'sleep') child.signal('SIGKILL');
      });
    const kills = new OomKills(0);
    assert.equal(classOfExit(await exitOf(['sleep', '60']), kills.hasKilled()), 'ended');
    // A control group of its own, where this process may make one.
    const group = `/sys/fs/cgroup/memory/outrider-test-${process.pid}`;
    try {
      mkdirSync(group);
      writeFileSync(`${group}/memory.limit_in_bytes`, '80000000');
    } catch {
      return this.skip();
    }
    afterTest(() => rmdirSync(group));
    const hog = 'const all = []; for (;;) all.push(Buffer.alloc(1e7, 1));';
    const script = `echo $$ > ${group}/cgroup.procs; exec "${process.execPath}" -e '${hog}'`;
    const exit = await exitOf(['sh', '-c', script]);
    assert.equal(exit.signal, 'SIGKILL');
    assert.equal(classOfExit(exit, kills.hasKilled()), 'crashed');
  });
});
