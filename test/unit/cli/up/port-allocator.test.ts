/** Ports of a mesh, some of which something else has. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { PortAllocator } from '../../../../sidecar/cli/up/port-allocator.js';
import { afterTest } from '../../../kit/mocha/after-test.js';

const HOST = '127.0.0.1';

describe('the ports of a mesh', () => {
  const taken = (): Promise<number> => {
    const server = createServer();
    afterTest(() => new Promise((resolve) => server.close(resolve)));
    return new Promise((resolve) => {
      server.listen(0, HOST, () => resolve((server.address() as { port: number }).port));
    });
  };
  const allocator = (...how: ConstructorParameters<typeof PortAllocator>): PortAllocator => {
    const ports = new PortAllocator(...how);
    afterTest(() => ports.release());
    return ports;
  };

  it('are those of the file, and one that is taken is refused with a way out', async () => {
    const port = await taken();
    await assert.rejects(
      allocator().claim(HOST, port, 'upstream digits'),
      /^CommandFailure: upstream digits: cannot listen on .*already taken.*or start with --ports free$/,
    );
  });

  it('are replaced by free ones where that is asked for, by the same in the next plan', async () => {
    const port = await taken();
    const ports = allocator('replace-taken');
    const first = await ports.claim(HOST, port, 'upstream digits');
    assert.notEqual(first, port);
    await ports.release();
    assert.equal(await ports.claim(HOST, port, 'upstream digits'), first);
    assert.notEqual(await ports.claim(HOST, port, 'admin'), first);
  });

  it('stay as the file says where they are free', async () => {
    const free = await allocator().find(HOST);
    const ports = allocator('replace-taken');
    const probe = await taken();
    assert.notEqual(probe, free);
    await assert.rejects(ports.claim('192.0.2.1', probe, 'admin'), /no such address/);
  });
});
