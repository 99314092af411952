import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ChildProcessHandle, describeExit } from '../../../sidecar/supervise/child-process.js';
import { outputOf } from '../../kit/process/outrider.js';
import {
  childrenOf,
  commandLine,
  isRunning,
  isStopped,
  sessionOf,
  until,
} from '../../kit/process/processes.js';
import { temporaryDirectory } from '../../kit/service/model-server.js';

const OWNER = fileURLToPath(new URL('../../kit/process/child-process-owner.js', import.meta.url));
const SLEEP_FOREVER = [process.execPath, '-e', 'setInterval(() => {}, 1000)'];
const END_WITH_INPUT = [process.execPath, '-e', "process.stdin.on('end', () => process.exit()).resume()"];

describe('owned process', () => {
  const left: ChildProcess[] = [];
  const pids: number[] = [];

  afterEach(() => {
    for (const child of left.splice(0)) child.kill('SIGKILL');
    for (const pid of pids.splice(0)) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  });

  function start(argv: readonly string[]): { child: ChildProcessHandle; exit: Promise<string> } {
    let child: ChildProcessHandle | undefined;
    const exit = new Promise<string>((resolve) => {
      child = new ChildProcessHandle(argv, { env: process.env, stdout: 2, stderr: 2, onExit: resolve });
    });
    if (child!.pid !== undefined) pids.push(child!.pid);
    return { child: child!, exit };
  }

  /** Starts a process that owns `argv`; resolves with both process ids. */
  async function startOwner(argv: readonly string[]): Promise<{ owner: ChildProcess; pid: number }> {
    const owner = spawn(process.execPath, [OWNER, ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
    left.push(owner);
    const said = outputOf(owner);
    const pid = await until('the owner names its child', () => Number(/pid (\d+)/.exec(said.stdout)?.[1]));
    pids.push(pid);
    // Before that it is `setpriv`, which may not have asked the kernel for the signal yet.
    await until('the child runs', () => commandLine(pid).startsWith(argv[0]!));
    return { owner, pid };
  }

  it('says in one sentence how a process ended', async () => {
    assert.equal(await start([process.execPath, '-e', 'process.exit(3)']).exit, 'exited with code 3');
    const killed = start(SLEEP_FOREVER);
    killed.child.signal('SIGKILL');
    assert.equal(await killed.exit, 'killed by SIGKILL');
    assert.equal(killed.child.alive, false);
    assert.equal(describeExit(0, null), 'exited with code 0');
  });

  it('says so when the command cannot be started', async () => {
    for (const command of ['/no/such/program', 'no-such-program-anywhere', '/etc/passwd']) {
      const why = `could not be started: command not found or not executable: ${command}`;
      assert.equal(await start([command]).exit, why);
    }
    assert.match(await start([]).exit, /the command is empty/);
    assert.equal(start(['/no/such/program']).child.pid, undefined);
    // Longer than an argument may be (MAX_ARG_STRLEN, execve(2)): spawn throws, as it does for want of memory.
    const refused = start([process.execPath, 'x'.repeat(200_000)]);
    assert.match(await refused.exit, /^could not be started: spawn E2BIG/);
    assert.equal(refused.child.alive, false);
  });

  it('runs in a session of its own, so that the terminal signals only the owner', async () => {
    const { child, exit } = start(SLEEP_FOREVER);
    const session = await until('it runs', () => sessionOf(child.pid!));
    assert.equal(session, child.pid);
    child.signal('SIGKILL');
    await exit;
  });

  it('takes what its process started along, when it is killed and when it ends by itself', async () => {
    const { child, exit } = start(['sh', '-c', 'sleep 61 & exec sleep 62']);
    const grandchild = await until('the grandchild runs', () => childrenOf(child.pid!)[0]);
    child.signal('SIGKILL');
    await exit;
    await until('the grandchild is gone', () => !isRunning(grandchild));

    // It ends when the file is there, however late the test comes to see its child.
    const end = path.join(temporaryDirectory(), 'end');
    const ending = start(['sh', '-c', 'sleep 63 & until [ -e "$0" ]; do sleep 0.05; done', end]);
    const orphan = await until('the grandchild runs', () => childrenOf(ending.child.pid!)[0]);
    writeFileSync(end, '');
    assert.equal(await ending.exit, 'exited with code 0');
    await until('the orphan is gone', () => !isRunning(orphan));
  });

  it('dies with an owner that was killed', async () => {
    const { owner, pid } = await startOwner(SLEEP_FOREVER);
    owner.kill('SIGKILL');
    await until('the child is gone', () => !isRunning(pid));
  });

  it('dies with its owner even while it is frozen', async () => {
    const { owner, pid } = await startOwner(SLEEP_FOREVER);
    process.kill(pid, 'SIGSTOP');
    await until('it is stopped', () => isStopped(pid));
    owner.kill('SIGKILL');
    await until('the child is gone', () => !isRunning(pid));
  });

  it('ends its input when the owner ends, for systems where the kernel does not help', async () => {
    const { owner, pid } = await startOwner(END_WITH_INPUT);
    assert.equal(isRunning(pid), true);
    owner.kill('SIGKILL');
    await until('the child is gone', () => !isRunning(pid));
  });
});
