import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import {
  listenersIn,
  portOwner,
  socketOwner,
  unixListenersIn,
  userName,
} from '../../../../sidecar/runtime/process/port-owner.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';

describe('the holder of a port', () => {
  it('is read from the table of the kernel: those that listen, on that port only', () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2260 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0
   1: 0100007F:2261 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0 100 0 0 10 0
   2: 0100007F:2260 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4244 1 0 20 4 30 10 -1`;
    assert.deepEqual(listenersIn(table, 0x2260), [{ inode: '4242', user: '1000' }]);
    assert.deepEqual(listenersIn(table, 0x226), []);
    assert.deepEqual(listenersIn('', 1), []);
  });

  it('of a Unix socket is read likewise: those that listen, at that path only', () => {
    const table = `Num       RefCount Protocol Flags    Type St Inode Path
00000000b2532a4f: 00000003 00000000 00000000 0001 03 8760695 /run/digits.sock
000000002e9eefab: 00000002 00000000 00010000 0001 01 8795117 /run/digits.sock
000000002e9eefac: 00000002 00000000 00010000 0001 01 8795118 /run/digits.sock.w
000000002e9eefad: 00000002 00000000 00010000 0001 01 8795119`;
    assert.deepEqual(unixListenersIn(table, '/run/digits.sock'), ['8795117']);
    assert.deepEqual(unixListenersIn(table, 'digits.sock'), []);
    assert.deepEqual(unixListenersIn('', '/run/digits.sock'), []);
  });

  it('of a Unix socket is a process with its command, and nothing once the path is free', async function () {
    if (process.platform !== 'linux') this.skip();
    const path = join(scratchForTest().path, 'digits.sock');
    const server = net.createServer();
    afterTest(() => server.close());
    await new Promise<void>((resolve) => server.listen(path, resolve));
    assert.equal(socketOwner(path)?.pid, process.pid);
    assert.match(socketOwner(path)!.text, /^process \d+ \(.*node/);
    await new Promise((resolve) => server.close(resolve));
    assert.equal(socketOwner(path), undefined);
  });

  it('is known by its user where it cannot be inspected', () => {
    const passwd = 'root:x:0:0:root:/root:/bin/sh\nconsul:x:1000:100::/:/bin/false\n';
    assert.equal(userName('1000', passwd), 'consul');
    assert.equal(userName('100', passwd), '100');
    assert.equal(userName('0', ''), '0');
  });

  it('is a process with its command, and nothing once the port is free', async function () {
    if (process.platform !== 'linux') this.skip();
    for (const host of ['127.0.0.1', '::1']) {
      const server = net.createServer();
      const isThere = await new Promise<boolean>((resolve) => {
        server.once('error', () => resolve(false));
        server.listen({ host, port: 0 }, () => resolve(true));
      });
      if (!isThere) continue;
      const { port } = server.address() as net.AddressInfo;
      assert.match(portOwner(port) ?? '', new RegExp(`^process ${process.pid} \\(.*node.*\\)$`));
      await new Promise((resolve) => server.close(resolve));
      assert.equal(portOwner(port), undefined);
    }
  });
});
