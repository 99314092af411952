import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';

describe('a child process', () => {
  const scratch = scratchForEach();

  function ended(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
    return new Promise((onExit) => new ChildProcessHandle(argv, { env, stdout: 1, stderr: 2, onExit }));
  }

  it('is found by its own PATH, which need not have the programs of its owner', async () => {
    symlinkSync(process.execPath, join(scratch.path, 'model'));
    const env = { PATH: scratch.path };
    assert.equal(await ended(['model', '-e', 'process.exit(7)'], env), 'exited with code 7');
    assert.match(await ended(['other'], env), /^could not be started: command not found.*: other$/);
  });
});
