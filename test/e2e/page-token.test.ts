/** `outrider page` with the token of the admin ports: whoever else is on the machine cannot use it. */
import assert from 'node:assert/strict';
import { startAdmin } from '../../sidecar/admin/server.js';
import { scratchForEach } from '../kit/mocha/scratch.js';
import { outputOf, outrider, startOutrider } from '../kit/process/outrider.js';
import { until } from '../kit/process/processes.js';
import { FakeView } from '../kit/stack/admin-view.js';

describe('outrider page with a token', function () {
  this.timeout(30_000);
  const scratch = scratchForEach();

  it('drains for those who know the address that it printed, and for nobody else', async () => {
    const tokenFile = scratch.write('admin.token', 'a-token-of-20-signs!');
    const view = new FakeView();
    const admin = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port: 0 }, view, { tokenFile });
    const { port } = admin.address as { readonly port: number };
    const args = ['--admin', `127.0.0.1:${port}`, '--listen', '127.0.0.1:0', '--token-file', tokenFile];
    const page = startOutrider(['page', ...args, '--json']);
    try {
      const output = outputOf(page);
      const { url } = JSON.parse(await until('the page is served', () => /^.*\n/.exec(output.stdout)?.[0]));
      const drain = (at: string) =>
        fetch(new URL('drain?sidecar=digits-1', at), { method: 'POST', redirect: 'manual' });
      assert.equal((await fetch(new URL('/', url))).status, 403);
      assert.equal((await drain(new URL('/', url).href)).status, 403);
      assert.equal(view.drains, 0);
      assert.equal((await fetch(url)).status, 200);
      assert.equal((await drain(url)).status, 303);
      assert.equal(view.drains, 1);
    } finally {
      page.kill('SIGTERM');
      await admin.close();
    }
  });

  it('has such an address for a socket that only its owner may open', async () => {
    const view = new FakeView();
    const path = `${scratch.path}/admin.sock`;
    const admin = await startAdmin({ kind: 'unix', path }, view);
    const page = startOutrider(['page', '--admin', `unix:${path}`, '--listen', '127.0.0.1:0', '--json']);
    try {
      const output = outputOf(page);
      const { url } = JSON.parse(await until('the page is served', () => /^.*\n/.exec(output.stdout)?.[0]));
      const drain = (at: URL) =>
        fetch(new URL('drain?sidecar=digits-1', at), { method: 'POST', redirect: 'manual' });
      assert.equal((await drain(new URL('/', url))).status, 403);
      assert.equal(view.drains, 0);
      assert.equal((await drain(new URL(url))).status, 303);
      assert.equal(view.drains, 1);
    } finally {
      page.kill('SIGTERM');
      await admin.close();
    }
  });

  it('is for this machine alone, as it is plaintext; without a token it warns', async () => {
    const args = ['page', '--admin', '127.0.0.1:1', '--listen', '0.0.0.0:0'];
    const { code, stderr } = await outrider([
      ...args,
      '--token-file',
      scratch.write('t', 'a-token-of-20-signs!'),
    ]);
    assert.deepEqual(
      [code, /--listen 0\.0\.0\.0:0 with --token-file: expected/.test(stderr)],
      [2, true],
      stderr,
    );
    const open = startOutrider(args);
    try {
      const output = outputOf(open);
      await until('it warns', () => /whoever reaches 0\.0\.0\.0:0 can read this page/.exec(output.stderr));
    } finally {
      open.kill('SIGTERM');
    }
  });
});
