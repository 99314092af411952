import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DIGITS_MODELS, OUTRIDER, outputOf, Scratch } from '../../kit/process/outrider.js';
import { ancestryOf, isRunning, processesWith, until } from '../../kit/process/processes.js';

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

  async function start(...args: string[]) {
    const npx = spawn('npx', ['outrider', ...args], { cwd: scratch.path, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = outputOf(npx);
    await until('it listens', () => output.stdout.includes('"listening"'), 30_000);
    return { npx: npx.pid!, program: programs()[0]!, output };
  }

  const commands = {
    /** The command that needs no other process. */
    page: ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:9'],
    /** Ends by signals that a program of its own handles. */
    serve: ['--listen', '127.0.0.1:0', '--models', DIGITS_MODELS],
  };
  for (const [command, args] of Object.entries(commands))
    it(`ends in order when npx gets SIGTERM, which npm does not pass on (${command})`, async () => {
      const { npx, program, output } = await start(command, '--json', ...args);
      assert.ok(isRunning(program));
      const before = ancestryOf(program);
      process.kill(npx, 'SIGTERM');
      await until('the program has ended', () => !isRunning(program)).catch((error: Error) => {
        throw new Error(`${error.message}\n${before}\nthen\n${ancestryOf(program)}\n${output.stderr}`);
      });
    });
});
