import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ownGuardian } from '../../../sidecar/cli/own-guardian.js';
import { OWNER_PROCESS_VARIABLE, OWNER_VARIABLE } from '../../../sidecar/runtime/process/owned-processes.js';
import { SYSTEM } from '../../../sidecar/runtime/system.js';
import { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';
import { Guardian } from '../../../sidecar/supervise/guardian/guardian.js';
import { endOrphans } from '../../../sidecar/supervise/guardian/orphans.js';
import { outputOf } from '../../kit/process/outrider.js';
import { isRunning, isStopped, processesWith, sessionOf, until } from '../../kit/process/processes.js';

const OWNER = fileURLToPath(new URL('../../kit/process/child-process-owner.js', import.meta.url));
const SHORT = fileURLToPath(new URL('../../kit/process/short-of-descriptors.js', import.meta.url));
const ENDED_MS = 10_000;

/** A number of seconds that no other process here sleeps for: it tells processes of one test apart. */
let sleeps = 0;
const aSleep = (): string => `86${process.pid}.${++sleeps}`;

describe('guardian of what a process has started', function () {
  this.timeout(60_000);

  const left: ChildProcess[] = [];
  const pids = new Set<number>();

  afterEach(() => {
    for (const child of left.splice(0)) child.kill('SIGKILL');
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    pids.clear();
  });

  const named = (sleep: string) => async (): Promise<number | undefined> => {
    const pid = processesWith(`sleep ${sleep}`).find((each) => commandOf(each).startsWith('sleep '));
    if (pid !== undefined) pids.add(pid);
    return pid;
  };
  const running = (sleep: string) => until(`sleep ${sleep} runs`, named(sleep));
  const gone = (pid: number) => until(`process ${pid} is gone`, () => !isRunning(pid), ENDED_MS);

  interface Owner {
    readonly owner: ChildProcess;
    readonly pid: number;
    readonly guardian: number;
    readonly output: { readonly stdout: string };
  }

  /** A process that owns `sh -c SCRIPT`. */
  async function startOwner(name: string, script: string): Promise<Owner> {
    const env = { ...process.env, GUARDED: name };
    const argv = [OWNER, 'sh', '-c', script];
    const owner = spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    left.push(owner);
    const output = outputOf(owner);
    const pid = await until('the owner names its child', () => Number(/pid (\d+)/.exec(output.stdout)?.[1]));
    const guardian = Number(/guardian (\d+)/.exec(output.stdout)?.[1]);
    for (const each of [pid, guardian]) pids.add(each);
    return { owner, pid, guardian, output };
  }

  const ways: readonly [string, NodeJS.Signals][] = [
    ['is killed', 'SIGKILL'],
    ['ends by itself', 'SIGTERM'],
  ];
  for (const [what, signal] of ways)
    it(`ends a descendant in a session of its own when the owner ${what}`, async () => {
      const sleep = aSleep();
      const { owner, guardian } = await startOwner('a-1', `setsid sleep ${sleep} & exec sleep 3600`);
      const pid = await running(sleep);
      assert.equal(sessionOf(pid), pid);
      owner.kill(signal);
      await gone(pid);
      await gone(guardian);
    });

  it('ends what stayed in the group, also without the mark, and what ignores SIGTERM', async () => {
    const [bare, stubborn] = [aSleep(), aSleep()];
    const script = `env -i PATH="$PATH" sleep ${bare} & trap '' TERM; setsid sleep ${stubborn} & wait`;
    const { owner } = await startOwner('a-1', script);
    const all = [await running(bare), await running(stubborn)];
    owner.kill('SIGKILL');
    for (const pid of all) await gone(pid);
  });

  it('does so while the owner is frozen first and then killed, and while the descendant is frozen', async () => {
    const sleep = aSleep();
    const { owner } = await startOwner('a-1', `setsid sleep ${sleep} & exec sleep 3600`);
    const pid = await running(sleep);
    process.kill(pid, 'SIGSTOP');
    owner.kill('SIGSTOP');
    owner.kill('SIGKILL');
    await gone(pid);
  });

  it('touches no other process: another owner, no owner, the text within another variable', async () => {
    const sleep = aSleep();
    const {
      owner,
      pid: child,
      guardian,
    } = await startOwner('a-1', `setsid sleep ${sleep} & exec sleep 3600`);
    const pid = await running(sleep);
    const mark = environmentOf(pid).find((each) => each.startsWith(`${OWNER_VARIABLE}=`))!;
    assert.match(mark, /^OUTRIDER_OWNER=a-1-[0-9a-f]{32}$/);
    const stem = mark.slice(`${OWNER_VARIABLE}=`.length);
    const foreign: Record<string, string>[] = [
      {},
      { [OWNER_VARIABLE]: `a-1-${'0'.repeat(32)}` },
      { [OWNER_VARIABLE]: `${stem}x` },
      { [OWNER_VARIABLE]: `x${stem}` },
      { [OWNER_VARIABLE]: `${stem} ` },
      { OTHER: mark },
      { OTHER: `first\n${mark}` },
      { OTHER: `first\n${mark}\n` },
      { [`X${OWNER_VARIABLE}`]: stem },
    ];
    const others = foreign.map((more) => {
      const env = { PATH: process.env['PATH'], ...more };
      const other = spawn('sleep', [sleep], { env, stdio: 'ignore', detached: true });
      left.push(other);
      return other;
    });
    await until('all run', () => others.every((each) => each.pid !== undefined && isRunning(each.pid)));
    owner.kill('SIGKILL');
    for (const each of [pid, child, guardian]) await gone(each);
    assert.deepEqual(
      others.map((each) => isRunning(each.pid!)),
      foreign.map(() => true),
    );
  });

  it('ends what a child has left behind when that ends, and nothing of another child', async () => {
    const guardian = ownGuardian('a-1', assert.fail);
    const start = (sleep: string): ChildProcessHandle => {
      const argv = ['sh', '-c', `setsid sleep ${sleep} & exec sleep 3600`];
      const child = new ChildProcessHandle(argv, {
        env: process.env,
        stdout: 2,
        stderr: 2,
        guardian,
        onExit: () => {},
      });
      pids.add(child.pid!);
      return child;
    };
    const [one, two] = [aSleep(), aSleep()];
    const crashing = start(one);
    const other = start(two);
    const [pid, stays] = [await running(one), await running(two)];
    crashing.signal('SIGKILL');
    await gone(pid);
    assert.deepEqual([isRunning(stays), isRunning(other.pid!)], [true, true]);
    other.signal('SIGKILL');
    await gone(stays);
  });

  it('is started again when it was killed', async () => {
    const sleep = aSleep();
    const { owner, guardian } = await startOwner(
      'a-1',
      `env -i PATH="$PATH" sleep ${sleep} & exec sleep 3600`,
    );
    const pid = await running(sleep);
    process.kill(guardian, 'SIGKILL');
    const next = await until('there is another guardian', () =>
      processesWith('outrider-guardian a-1-').find(
        (each) => each !== guardian && parentOf(each) === owner.pid,
      ),
    );
    pids.add(next);
    owner.kill('SIGKILL');
    await gone(pid);
    await gone(next);
  });

  it('is started again once there are descriptors for it, and their want is said once', async () => {
    const argv = ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, SHORT];
    const owner = spawn('sh', argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    left.push(owner);
    const output = outputOf(owner);
    const code = await new Promise((resolve) => owner.once('close', resolve));
    assert.deepEqual([code, output.stderr], [0, '']);
    assert.match(output.stdout, /^problem \/bin\/sh cannot be started \(.*EMFILE\): [^\n]*\nguardian \d+\n$/);
  });

  it('that died before it ended what a child has left behind is followed by one that does', async () => {
    const sleep = aSleep();
    const script = `setsid sleep ${sleep} & exec sleep 3600`;
    const { pid: child, guardian, output } = await startOwner('a-1', script);
    const pid = await running(sleep);
    process.kill(guardian, 'SIGSTOP');
    process.kill(child, 'SIGKILL');
    await until('the owner has seen the end', () => output.stdout.includes('exit killed by SIGKILL'));
    process.kill(guardian, 'SIGKILL');
    await gone(pid);
  });

  it('throws nothing where the system refuses to start it', () => {
    const problems: string[] = [];
    const guardian = new Guardian({
      name: 'a-1',
      nonce: '0'.repeat(24),
      shell: '/bin/sh\0',
      onProblem: (problem) => problems.push(problem),
    });
    guardian.prepare();
    guardian.prepare();
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /cannot be started/);
  });

  it('says so once where there is no shell, and the child runs', async () => {
    const problems: string[] = [];
    const guardian = new Guardian({
      name: 'a-1',
      nonce: '0'.repeat(24),
      shell: '/no/such/sh',
      onProblem: (problem) => problems.push(problem),
    });
    const exit = () =>
      new Promise<string>((resolve) => {
        const argv = ['sh', '-c', 'exit 3'];
        new ChildProcessHandle(argv, { env: process.env, stdout: 2, stderr: 2, guardian, onExit: resolve });
      });
    assert.equal(await exit(), 'exited with code 3');
    assert.equal(await exit(), 'exited with code 3');
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0]!, /^\/no\/such\/sh cannot be started/);
  });

  it('what outlived the owner and its guardian is ended at the next start, and nothing of a living owner', async () => {
    const name = `b-${process.pid}`;
    const [orphaned, living, others] = [aSleep(), aSleep(), aSleep()];
    const first = await startOwner(name, `setsid sleep ${orphaned} & exec sleep 3600`);
    const orphan = await running(orphaned);
    const alive = await startOwner(name, `setsid sleep ${living} & exec sleep 3600`);
    const other = await startOwner(`${name}-2`, `setsid sleep ${others} & exec sleep 3600`);
    const stay = [await running(living), await running(others), alive.pid, other.pid];
    const environment = environmentOf(orphan);
    for (const { owner, guardian } of [first, other]) {
      owner.kill('SIGSTOP');
      // Until all its threads have stopped it starts another guardian.
      await until('the owner is stopped', () => isStopped(owner.pid!));
      process.kill(guardian, 'SIGKILL');
      await gone(guardian);
      owner.kill('SIGKILL');
    }
    await gone(first.pid);
    // Of another boot, of another PID namespace, and without a word about the owner: nothing is known of them.
    const stamp = environment.find((each) => each.startsWith(OWNER_PROCESS_VARIABLE))!.split('=')[1]!;
    const mark = environment.find((each) => each.startsWith(`${OWNER_VARIABLE}=`))!.split('=')[1]!;
    const [boot, namespace, ...process_] = stamp.split('/');
    const unknown = [
      { [OWNER_PROCESS_VARIABLE]: ['0', namespace, ...process_].join('/') },
      { [OWNER_PROCESS_VARIABLE]: [boot, '1', ...process_].join('/') },
      {},
    ].map((more) => {
      const env = { PATH: process.env['PATH'], [OWNER_VARIABLE]: mark, ...more };
      const child = spawn('sleep', ['3600'], { env, stdio: 'ignore', detached: true });
      left.push(child);
      return child.pid!;
    });
    assert.equal(isRunning(orphan), true);
    const found = await endOrphans(name, SYSTEM);
    assert.deepEqual(
      found.map(({ pid }) => pid),
      [orphan],
    );
    assert.equal(isRunning(orphan), false);
    assert.deepEqual(
      [...unknown, ...stay].map((pid) => isRunning(pid)),
      [true, true, true, true, true, true, false],
    );
    // Its owner was killed as well, by name it belongs to somebody else.
    assert.deepEqual((await endOrphans(`${name}-2`, SYSTEM)).length, 1);
  });
});

const environmentOf = (pid: number): string[] => readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
};
const parentOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
};
