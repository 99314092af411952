import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { askAdmin } from '../../../sidecar/cli/admin-client.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';

describe('an admin server on a Unix socket', () => {
  const scratch = scratchForEach();
  /** The headers that came. */
  let asked: (string | undefined)[];

  async function listening(mode: number): Promise<string> {
    asked = [];
    const folder = join(scratch.path, 'run');
    mkdirSync(folder);
    chmodSync(folder, mode);
    const path = join(folder, 'admin.sock');
    const server = createServer(({ headers }, response) => {
      asked.push(headers.authorization);
      response.end('yes');
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    afterTest(() => new Promise((resolve) => server.close(resolve)));
    return path;
  }
  const ask = (path: string) =>
    askAdmin({ kind: 'unix', path }, '/ready', { timeoutMs: 5_000, token: 'secret' });

  it('is asked in a private directory', async () => {
    assert.equal((await ask(await listening(0o700))).body, 'yes');
    assert.deepEqual(asked, ['Bearer secret']);
  });

  it('is not asked in a directory where anybody may have put it, and gets no token', async () => {
    await assert.rejects(
      ask(await listening(0o777)),
      /admin\.sock is not connected to: every user can write into its directory/,
    );
    assert.deepEqual(asked, []);
  });
});
