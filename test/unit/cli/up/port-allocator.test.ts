/** Ports of a mesh, some of which something else has. */
import assert from 'node:assert/strict';
import net, { createServer } from 'node:net';
import { PortAllocator } from '../../../../sidecar/cli/up/port-allocator.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { freePort } from '../../../kit/process/free-port.js';

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
    afterTest(() => ports.close());
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

  describe('after their release, before a sidecar listens', () => {
    const onLinux = (name: string, test: () => Promise<void>) =>
      process.platform === 'linux' ? it(name, test) : it.skip(name, test);

    /** Bound and not listening, as `up` holds the socket of a sidecar that has just been started. */
    function bindOnly(port: number): void {
      const bind = (net as unknown as { _createServerHandle(...at: unknown[]): unknown })._createServerHandle;
      const handle = bind(HOST, port, 4) as { close(): void };
      afterTest(() => handle.close());
    }

    onLinux('are not found by another mesh', async () => {
      const first = allocator();
      const port = await first.find(HOST, 'digits-1');
      await first.release();
      bindOnly(port);
      const draws = [port, await freePort()];
      const second = new PortAllocator('exact', () => draws.shift()!);
      afterTest(() => second.close());
      assert.notEqual(await second.find(HOST), port);
      assert.deepEqual(draws, []);
    });

    onLinux('are not claimed by another mesh, whose user is told why', async () => {
      const port = await freePort();
      const first = allocator();
      await first.claim(HOST, port, 'digits-1');
      await first.release();
      bindOnly(port);
      const second = allocator();
      assert.equal(await second.tryClaim(HOST, port), false);
      await assert.rejects(
        second.claim(HOST, port, 'upstream digits'),
        /: the port is already taken by a mesh that is starting; .* or start with --ports free$/,
      );
      assert.notEqual(await allocator('replace-taken').claim(HOST, port, 'upstream digits'), port);
    });

    it('are claimed by the next mesh once this one has ended', async () => {
      const port = await freePort();
      const first = allocator();
      await first.claim(HOST, port, 'digits-1');
      await first.close();
      assert.equal(await allocator().claim(HOST, port, 'digits-1'), port);
    });

    it('are claimed by another mesh once a new plan no longer has them', async () => {
      const [kept, dropped] = [await freePort(), await freePort()];
      const first = allocator();
      for (const port of [kept, dropped]) await first.claim(HOST, port, `at ${port}`);
      first.commit();
      await first.release();
      await first.claim(HOST, kept, `at ${kept}`);
      first.commit();
      await first.release();
      const second = allocator();
      assert.equal(await second.claim(HOST, dropped, 'digits-1'), dropped);
      if (process.platform === 'linux') {
        assert.equal(await second.tryClaim(HOST, kept), false);
        await assert.rejects(first.claim(HOST, dropped, 'digits-1'), /already taken/);
      }
    });

    it('are free again where the plan that took them back failed', async () => {
      const [kept, dropped] = [await freePort(), await freePort()];
      const first = allocator();
      const plan = async (...ports: readonly number[]): Promise<void> => {
        for (const port of ports) await first.claim(HOST, port, `at ${port}`);
      };
      await plan(kept, dropped);
      first.commit();
      await first.release();
      await plan(kept);
      first.commit();
      await first.release();
      await plan(kept, dropped);
      first.discard();
      await first.release();
      const second = allocator();
      assert.equal(await second.tryClaim(HOST, dropped), true);
      if (process.platform === 'linux') assert.equal(await second.tryClaim(HOST, kept), false, 'in use');
    });

    it('are free again where their plan failed', async () => {
      const port = await freePort();
      const first = allocator();
      await first.claim(HOST, port, 'digits-1');
      first.discard();
      await first.release();
      assert.equal(await allocator().tryClaim(HOST, port), true);
    });
  });

  it('may be the same at two addresses', async () => {
    const port = await freePort();
    const ports = allocator();
    assert.equal(await ports.claim(HOST, port, 'digits'), port);
    assert.equal(await ports.claim('127.0.0.2', port, 'web'), port);
  });

  it('that are the usual ones stay the same in the next plan, while a sidecar listens there', async () => {
    const port = await freePort();
    const ports = allocator();
    assert.equal(await ports.tryClaim(HOST, port), true);
    await ports.release();
    const sidecar = net.createServer();
    afterTest(() => sidecar.close());
    await new Promise<void>((resolve) => sidecar.listen(port, HOST, resolve));
    assert.equal(await ports.tryClaim(HOST, port), true);
  });
});
