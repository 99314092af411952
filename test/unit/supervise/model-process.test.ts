/** A model process put together: what cannot be started is tried again, and does not end the sidecar. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { defaultModelProcess } from '../../../sidecar/config/options/model-process.js';
import { OWNER_PROCESS_VARIABLE, ownStamp } from '../../../sidecar/runtime/process/owned-processes.js';
import { socketOwner } from '../../../sidecar/runtime/process/port-owner.js';
import { modelProcess } from '../../../sidecar/supervise/model-process.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { until } from '../../kit/process/processes.js';
import { ManualClock } from '../../kit/time/manual-clock.js';
import { seeded } from '../../kit/time/seeded-random.js';

describe('a model process', () => {
  const scratch = scratchForEach();

  /** Not started yet. */
  function processAt(path: string, clock: ManualClock) {
    const address = { kind: 'unix', path } as const;
    const config = { ...defaultModelProcess(), command: [process.execPath, '-e', ''] };
    return modelProcess(config, address, {
      ...{ clock, timers: clock, random: seeded(1), env: {}, stdout: 1, stderr: 2 },
      ...{ upstreams: () => ({}), onChange: () => {}, onEnd: () => {}, onWithheld: () => {} },
      activity: () => assert.fail('nothing has served'),
    });
  }

  it('whose socket has no place is started again with backoff', async () => {
    scratch.write('models', 'a file where a directory should be');
    const clock = new ManualClock();
    const supervisor = processAt(join(scratch.path, 'models', 'digits.sock'), clock);
    supervisor.start();
    clock.advance(0);
    const { state, why } = supervisor.report();
    assert.equal(state, 'backoff');
    assert.match(why, /^could not be started: E\w+.*models/);
    await supervisor.stop();
    assert.equal(clock.pending(), 0);
  });

  for (const name of ['digits.sock', 'digits.sock.w'])
    it(`does not start where another process listens (${name}), names it, and leaves its socket`, async function () {
      if (process.platform !== 'linux') this.skip();
      const path = join(scratch.path, name);
      const server = net.createServer((socket) => socket.end('here'));
      afterTest(() => server.close());
      await new Promise<void>((resolve) => server.listen(path, resolve));
      const clock = new ManualClock();
      const supervisor = processAt(join(scratch.path, 'digits.sock'), clock);
      supervisor.start();
      clock.advance(0);
      const { state, why } = supervisor.report();
      assert.equal(state, 'backoff');
      assert.ok(why.startsWith(`could not be started: ${path}: process ${process.pid} (`), why);
      assert.match(why, /listens on this socket; .* second sidecar run with the same file\?/);
      const said = await new Promise((resolve) => net.connect(path).on('data', (data) => resolve(`${data}`)));
      assert.equal(said, 'here');
      await supervisor.stop();
    });

  for (const [what, stamp] of [
    ['an earlier start of this sidecar', () => ownStamp()],
    ['a sidecar that has ended', () => ownStamp()?.replace(/\d+$/, '1')],
  ] as const)
    it(`takes the place of what ${what} has left running`, async function () {
      if (process.platform !== 'linux') this.skip();
      const path = join(scratch.path, 'digits.sock');
      const program = `require('node:net').createServer().listen(${JSON.stringify(path)})`;
      const env = { [OWNER_PROCESS_VARIABLE]: stamp() };
      const left = spawn(process.execPath, ['-e', program], { env, stdio: 'ignore' });
      afterTest(() => left.kill('SIGKILL'));
      await until('it listens', () => socketOwner(path) !== undefined);
      const clock = new ManualClock();
      const supervisor = processAt(path, clock);
      supervisor.start();
      clock.advance(0);
      assert.equal(supervisor.report().state, 'starting');
      assert.equal(existsSync(path), false);
      await supervisor.stop();
    });

  for (const name of ['digits.sock', 'digits.sock.w'])
    it(`does not start where a file stands that is no socket (${name}), and leaves the file`, async () => {
      const file = scratch.write(name, 'mine');
      const clock = new ManualClock();
      const supervisor = processAt(join(scratch.path, 'digits.sock'), clock);
      supervisor.start();
      clock.advance(0);
      const { state, why } = supervisor.report();
      assert.equal(state, 'backoff');
      assert.ok(why.startsWith(`could not be started: ${file}: found a file that is no socket`), why);
      assert.equal(readFileSync(file, 'utf8'), 'mine');
      await supervisor.stop();
    });
});
