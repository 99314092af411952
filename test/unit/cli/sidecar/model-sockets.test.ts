/** Which sockets of models a process removes that has handed over. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { removeModelSockets } from '../../../../sidecar/cli/sidecar/model-sockets.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('the sockets of models that have ended', () => {
  const scratch = scratchForEach();
  const host = (path: string) => ({ address: { kind: 'unix', path } as const });

  it('are removed, but for one at which another process listens, and for what is no socket', async () => {
    const [left, live, file, gone] = ['left', 'live', 'file', 'gone'].map((name) => join(scratch.path, name));
    const listen =
      'require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, 9))';
    spawnSync(process.execPath, ['-e', listen, left!]);
    assert.ok(existsSync(left!));
    const server = createServer().listen(live);
    afterTest(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    writeFileSync(file!, '');
    const tcp = { address: { kind: 'tcp', host: '127.0.0.1', port: 1 } as const };
    await removeModelSockets([left!, live!, file!, gone!].map(host).concat(tcp as never));
    assert.deepEqual(
      [left, live, file].map((path) => existsSync(path!)),
      [false, true, true],
    );
  });
});
