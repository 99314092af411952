import assert from 'node:assert/strict';
import { startAdmin } from '../../../../sidecar/admin/server.js';
import { changeSidecar } from '../../../../sidecar/cli/page/change.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { FakeView } from '../../../kit/stack/admin-view.js';

describe('a drain from the mesh page', () => {
  const scratch = scratchForEach();

  async function sidecar(tokenFile?: string) {
    const view = new FakeView();
    const server = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port: 0 }, view, { tokenFile });
    afterTest(() => server.close());
    return { view, target: { name: 'digits-1', address: server.address } };
  }

  it('says how the page gets the token where the sidecar asks for one, and drains with it', async () => {
    const tokenFile = scratch.write('admin.token', 'a-token-of-20-signs!');
    const { view, target } = await sidecar(tokenFile);
    const without = await changeSidecar(target, 'drain', undefined);
    assert.equal(without.ok, false);
    assert.match(without.says, /^digits-1: it asks for a token \(admin_token_file\).*--token-file FILE/);
    const other = await changeSidecar(target, 'drain', scratch.write('other', 'another-token-of-22-sig'));
    assert.equal(other.ok, false);
    assert.match(other.says, /^digits-1: the token is another one; .*\/other \(--token-file\)/);
    assert.equal(view.drains, 0);
    assert.equal((await changeSidecar(target, 'drain', tokenFile)).ok, true);
    assert.equal(view.drains, 1);
  });

  it('says why nothing was asked: the token cannot be read, or nothing answers', async () => {
    const { view, target } = await sidecar();
    const unread = await changeSidecar(target, 'drain', '/no/such/token');
    assert.match(unread.says, /^digits-1: ENOENT/);
    const nowhere = { name: 'gone', address: { kind: 'unix', path: '/no/such/socket' } } as const;
    assert.match((await changeSidecar(nowhere, 'undrain', undefined)).says, /^gone: connect ENOENT/);
    assert.deepEqual([unread.ok, view.drains], [false, 0]);
  });
});
