import assert from 'node:assert/strict';
import { existsSync, linkSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { removeLeftSocket, removeSocket } from '../../../../sidecar/runtime/process/left-socket.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('a socket that a killed process has left', () => {
  const scratch = scratchForEach();
  const place = (): string => join(scratch.path, 'socket');

  async function listening(path: string): Promise<Server> {
    const server = createServer((socket) => socket.end());
    afterTest(() => server.close());
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return server;
  }

  /** Node removes the path of a socket that it closes: a second link keeps it. */
  async function leave(path: string): Promise<void> {
    const server = await listening(path);
    linkSync(path, `${path}.kept`);
    await new Promise((resolve) => server.close(resolve));
    renameSync(`${path}.kept`, path);
  }

  it('is removed, and the path is free', async () => {
    await leave(place());
    assert.ok(existsSync(place()));
    assert.equal(await removeLeftSocket(place()), true);
    assert.deepEqual(readdirSync(scratch.path), []);
    assert.equal(await removeLeftSocket(place()), true);
  });

  it('is none while a process listens on it', async () => {
    await listening(place());
    assert.equal(await removeLeftSocket(place()), false);
    assert.deepEqual(readdirSync(scratch.path), ['socket']);
  });

  it('is none where a file stands', async () => {
    writeFileSync(place(), 'mine');
    assert.equal(await removeLeftSocket(place()), false);
    assert.equal(removeSocket(place()), false);
    assert.deepEqual(readdirSync(scratch.path), ['socket']);
  });

  it('stays where another process has made its own there meanwhile', async () => {
    await leave(place());
    const removed = removeLeftSocket(place());
    rmSync(place());
    await listening(place());
    assert.equal(await removed, false);
    assert.deepEqual(readdirSync(scratch.path), ['socket']);
    assert.equal(await removeLeftSocket(place()), false, 'it is listened on');
  });
});
