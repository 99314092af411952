/** A model process put together: what cannot be started is tried again, and does not end the sidecar. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultModelProcess } from '../../../sidecar/config/options/model-process.js';
import { modelProcess } from '../../../sidecar/supervise/model-process.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
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
