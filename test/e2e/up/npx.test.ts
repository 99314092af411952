import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { OUTRIDER, outputOf, Scratch } from '../../kit/process/outrider.js';
import { isRunning, processesWith, until } from '../../kit/process/processes.js';

describe('outrider through npx', function () {
  this.timeout(60_000);

  const scratch = new Scratch();
  before(() => {
    mkdirSync(join(scratch.path, 'node_modules/.bin'), { recursive: true });
    symlinkSync(OUTRIDER[1]!, join(scratch.path, 'node_modules/.bin/outrider'));
    scratch.write('package.json', '{}');
  });
  after(() => {
    for (const each of programs()) process.kill(each, 'SIGKILL');
    scratch.remove();
  });

  /** The program, without npm and the shell above it. */
  const programs = () => processesWith(join(scratch.path, 'node_modules/.bin/outrider'));

  /** `outrider page`, the command that needs no other process. */
  async function page(): Promise<{ npx: number; program: number }> {
    const args = ['outrider', 'page', '--json', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:9'];
    const npx = spawn('npx', args, { cwd: scratch.path, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = outputOf(npx);
    await until('it listens', () => output.stdout.includes('"listening"'), 30_000);
    return { npx: npx.pid!, program: programs()[0]! };
  }

  it('ends in order when npx gets SIGTERM, which npm does not pass on', async () => {
    const { npx, program } = await page();
    assert.ok(isRunning(program));
    process.kill(npx, 'SIGTERM');
    await until('the program has ended', () => !isRunning(program), 5_000);
  });
});
