import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  ANY_OWNER,
  adminSocketProblem,
  socketProblem,
  whyAdminNotTrusted,
  whyNotTrusted,
} from '../../../../sidecar/runtime/process/socket-trust.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

const ME = { uid: 1_000, gids: [1_000, 50] };
const PRIVATE = { uid: 1_000, gid: 1_000, mode: 0o40700 };
const SOCKET = { uid: 1_000, gid: 1_000, mode: 0o140755 };

describe('whose socket is connected to', () => {
  it('is one of this user or of root, in a directory of theirs that nobody else may write into', () => {
    for (const uid of [1_000, 0]) {
      assert.equal(whyNotTrusted(PRIVATE, { ...SOCKET, uid }, ME), undefined);
      assert.equal(whyNotTrusted({ ...PRIVATE, uid, mode: 0o40755 }, SOCKET, ME), undefined);
    }
    const foreign = { uid: 1_001 };
    const socket = /^the socket belongs to user 1001, not to user 1000 or root$/;
    assert.match(whyNotTrusted(PRIVATE, { ...SOCKET, ...foreign }, ME)!, socket);
    const directory = /^its directory belongs to user 1001, not to user 1000 or root$/;
    assert.match(whyNotTrusted({ ...PRIVATE, ...foreign }, SOCKET, ME)!, directory);
    const all = { ...PRIVATE, uid: 0, gid: 0, mode: 0o40777 };
    assert.match(whyNotTrusted(all, SOCKET, ME)!, /^every user can write into its directory$/);
    assert.equal(whyNotTrusted({ ...all, mode: 0o41777 }, SOCKET, ME), undefined);
    assert.match(whyNotTrusted({ ...all, mode: 0o41777 }, { ...SOCKET, ...foreign }, ME)!, socket);
  });

  it('is one in a directory that a group of this process shares, and no other group', () => {
    assert.equal(whyNotTrusted({ ...PRIVATE, mode: 0o40775, gid: 50 }, SOCKET, ME), undefined);
    const group = /^group 51, which this process is not in, can write into its directory$/;
    assert.match(whyNotTrusted({ ...PRIVATE, mode: 0o40775, gid: 51 }, SOCKET, ME)!, group);
  });

  it('is one of the user that the file names, and of nobody else', () => {
    assert.equal(whyNotTrusted({ ...PRIVATE, uid: 1_001 }, { ...SOCKET, uid: 1_001 }, ME, 1_001), undefined);
    assert.match(whyNotTrusted(PRIVATE, { ...SOCKET, uid: 1_002 }, ME, 1_001)!, /belongs to user 1002/);
  });

  it('is, for an admin client, also one of a user in a directory of that user, and in none that users share', () => {
    const operator = { uid: 2_000, gids: [2_000] };
    for (const asker of [operator, { uid: 0, gids: [0] }]) {
      assert.equal(whyAdminNotTrusted(PRIVATE, SOCKET, asker), undefined);
      assert.match(whyAdminNotTrusted(PRIVATE, { ...SOCKET, uid: 1_001 }, asker)!, /belongs to user 1001/);
      const shared = { uid: 0, gid: 0, mode: 0o41777 };
      assert.match(whyAdminNotTrusted(shared, SOCKET, asker)!, /belongs to user 1000, not to/);
      assert.match(whyAdminNotTrusted({ ...PRIVATE, mode: 0o40777 }, SOCKET, asker)!, /every user can write/);
    }
  });

  describe('on disk', () => {
    const scratch = scratchForEach();

    async function listening(): Promise<string> {
      const folder = join(scratch.path, 'private');
      mkdirSync(folder, { mode: 0o700 });
      const path = join(folder, 'model.sock');
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(path, resolve));
      afterTest(() => new Promise((resolve) => server.close(resolve)));
      return path;
    }

    it('a socket of our own is, also through a link, and one that is not there says nothing', async () => {
      const path = await listening();
      assert.equal(socketProblem(path), undefined);
      symlinkSync(path, join(scratch.path, 'private', 'link.sock'));
      assert.equal(socketProblem(join(scratch.path, 'private', 'link.sock')), undefined);
      assert.equal(socketProblem(join(scratch.path, 'nothing.sock')), undefined);
    });

    it('one in a directory for all is not', async () => {
      const path = await listening();
      chmodSync(join(path, '..'), 0o777);
      assert.match(
        socketProblem(path)!,
        /model\.sock is not connected to: every user can write into its directory/,
      );
      assert.equal(socketProblem(path, ANY_OWNER), undefined);
      assert.match(
        adminSocketProblem(path)!,
        /every user can write into its directory\. Use a private directory$/,
      );
    });

    it('one of another user is not, nor one in a directory of another user', async function () {
      if (process.getuid!() !== 0) this.skip(); // only root can give files away
      const path = await listening();
      chownSync(path, 12_345, 12_345);
      assert.match(socketProblem(path)!, /the socket belongs to user 12345, not to root/);
      assert.equal(socketProblem(path, 12_345), undefined);
      chownSync(path, 0, 0);
      chownSync(join(path, '..'), 12_345, 12_345);
      assert.match(socketProblem(path)!, /its directory belongs to user 12345/);
    });
  });
});
