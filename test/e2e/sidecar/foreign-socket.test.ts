/** Another user has put a socket where the model is expected: it gets no request. */

import assert from 'node:assert/strict';
import { chownSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { until } from '../../kit/process/processes.js';
import { SidecarProcess } from '../../kit/process/sidecars.js';

const STRANGER = 12_345;

describe("another user's socket in the place of the model", function () {
  this.timeout(60_000);

  const scratch = scratchForEach();

  before(function () {
    if (process.getuid!() !== 0) this.skip(); // only root can give files away
  });

  /** A server of a stranger in a directory like /tmp, and a sidecar that expects its model there. */
  async function start(more: object = {}) {
    const folder = join(scratch.path, 'shared');
    mkdirSync(folder);
    const path = join(folder, 'model.sock');
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.on('error', () => {}).resume();
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    afterTest(() => new Promise((resolve) => server.close(resolve)));
    chownSync(path, STRANGER, STRANGER);
    const file = {
      service: 'tiny',
      admin: '127.0.0.1:0',
      inbound: {
        listen: '127.0.0.1:0',
        mtls: 'off',
        local: `unix:${path}`,
        intentions: [{ from: '*', to: 'tiny', action: 'allow' }],
        ...more,
      },
    };
    let sidecar: SidecarProcess | undefined;
    const onStart = (started: SidecarProcess): void => {
      sidecar = started;
    };
    afterTest(() => sidecar?.stop());
    await SidecarProcess.start(scratch.write('sidecar.yaml', JSON.stringify(file)), { onStart });
    return { path, sidecar: sidecar!, connections: () => connections };
  }

  it('is not connected to, and that is said; once it is ours it is', async () => {
    const { path, sidecar, connections } = await start();
    const said = /model\.sock is not connected to: the socket belongs to user 12345, not to root/;
    await until('it is logged', () => said.test(sidecar.output));
    await until('it is said at /ready', async () => said.test((await sidecar.page('/ready')).text));
    assert.equal(connections(), 0);
    chownSync(path, 0, 0);
    await until('it is connected to', () => connections() > 0);
  });

  it('is connected to where local_owner names that user', async () => {
    const { connections } = await start({ local_owner: STRANGER });
    await until('it is connected to', () => connections() > 0);
  });
});
