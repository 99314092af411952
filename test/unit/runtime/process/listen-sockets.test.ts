import assert from 'node:assert/strict';
import { existsSync, linkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import net, { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { inheriting } from '../../../../sidecar/runtime/process/inherited-sockets.js';
import { ListenSockets } from '../../../../sidecar/runtime/process/listen-sockets.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { freePort } from '../../../kit/process/free-port.js';

const ANY = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

describe('listening sockets by name', () => {
  const scratch = scratchForEach();

  /** A server that says its name to each connection. */
  function named(name: string): Server {
    // A connection that only looks whether one listens may be gone by then.
    const server = createServer((socket) => socket.on('error', () => {}).end(name));
    afterTest(() => server.close());
    return server;
  }

  function answerAt(place: string | number): Promise<string> {
    return new Promise((resolve, reject) => {
      (typeof place === 'string' ? connect(place) : connect(place, '127.0.0.1'))
        .on('data', (data) => resolve(data.toString()))
        .on('error', reject);
    });
  }

  it('are made where none was inherited, and can be handed on with where they are', async () => {
    const sockets = new ListenSockets();
    const at = await sockets.listen('admin', named('a'), ANY);
    assert.ok(at.kind === 'tcp' && at.port > 0);
    const all = sockets.all();
    const places = all.map(({ name, at: where }) => [name, where]);
    assert.deepEqual(places, [['admin', at]]);
    const { env, fds } = inheriting(all, { holdBack: true, generation: 2, tells: true });
    assert.deepEqual([fds.length, fds[0]], [1, all[0]!.fd]);
    const successor = ListenSockets.fromEnvironment(env, process.pid);
    assert.equal(successor.isSuccessor, true);
    assert.equal(successor.readyFd, 4);
    assert.equal(successor.generation, 2);
  });

  it('of a successor are not accepted on before it says so, and say where they are', async () => {
    const at = { kind: 'unix', path: join(scratch.path, 's') } as const;
    const server = named('late');
    const before = named('early');
    await new ListenSockets().listen('admin', before, at);
    const fd = (before as unknown as { _handle: { fd: number } })._handle.fd;
    const sockets = new ListenSockets({ holdBack: true, sockets: { admin: { fd, at } } });
    assert.deepEqual(await sockets.listen('admin', server, at), at);
    assert.equal(server.listening, false);
    assert.deepEqual(sockets.names, []);
  });

  it('say where they are when another program listens there first', async () => {
    const port = await freePort();
    const at = { ...ANY, port };
    const bind = (net as unknown as { _createServerHandle(...at: unknown[]): unknown })._createServerHandle;
    const { fd } = bind(at.host, port, 4) as { fd: number };
    const other = createServer();
    afterTest(() => other.close());
    await new Promise<void>((resolve) => other.listen(port, at.host, resolve));
    const sockets = new ListenSockets({ holdBack: false, sockets: { admin: { fd, at } } });
    const taken = { code: 'EADDRINUSE', address: at.host, port };
    await assert.rejects(sockets.listen('admin', named('a'), at), taken);
  });

  it('are made at a path where a killed process has left its own, and not where one listens', async () => {
    const at = { kind: 'unix', path: join(scratch.path, 's') } as const;
    const killed = named('killed');
    await new ListenSockets().listen('admin', killed, at);
    linkSync(at.path, `${at.path}.kept`);
    await new Promise((resolve) => killed.close(resolve));
    renameSync(`${at.path}.kept`, at.path);
    await new ListenSockets().listen('admin', named('next'), at);
    assert.equal(await answerAt(at.path), 'next');
    const taken = { code: 'EADDRINUSE' };
    await assert.rejects(new ListenSockets().listen('admin', named('another'), at), taken);
    assert.equal(await answerAt(at.path), 'next');
    writeFileSync(join(scratch.path, 'file'), 'mine');
    const file = { kind: 'unix', path: join(scratch.path, 'file') } as const;
    await assert.rejects(new ListenSockets().listen('admin', named('another'), file), taken);
  });

  it('are not taken where the listener is to be elsewhere now, unless a service manager chose', async () => {
    const at = { kind: 'tcp', host: '127.0.0.1', port: 9 } as const;
    const elsewhere = new ListenSockets({ holdBack: true, sockets: { admin: { fd: 99, at } } });
    const bound = await elsewhere.listen('admin', named('a'), { ...at, port: await freePort() });
    assert.ok(bound.kind === 'tcp' && bound.port !== 9);
    assert.deepEqual(elsewhere.names, ['admin']);
    const given = new ListenSockets({ holdBack: true, sockets: { admin: { fd: 99, at, isGiven: true } } });
    assert.deepEqual(await given.listen('admin', named('b'), ANY), at);
  });

  for (const kind of ['tcp', 'unix'] as const)
    it(`that a service manager gave (${kind}) go from one server to the next without a moment in which none answers`, async () => {
      const made = named('of the manager');
      const path = join(scratch.path, 'given');
      const place = await new Promise<number | string>((resolve) =>
        kind === 'unix'
          ? made.listen(path, () => resolve(path))
          : made.listen(0, '127.0.0.1', () => resolve((made.address() as { port: number }).port)),
      );
      const holder = made as unknown as { _handle: { fd: number; close(): void } | null };
      const handle = holder._handle!;
      holder._handle = null;
      const given = { fd: handle.fd, isGiven: true, handle } as const;
      const sockets = new ListenSockets({ holdBack: false, sockets: { admin: given } });
      // What the file says does not matter, not even that it is another kind of address.
      const configured = { ...ANY, port: await freePort() };
      const expected = typeof place === 'number' ? { ...ANY, port: place } : configured;
      const early = named('early');
      assert.deepEqual(await sockets.listen('admin', early, configured), expected);
      assert.deepEqual([await answerAt(place), sockets.names], ['early', []]);
      sockets.giveBack('other', early);
      sockets.giveBack('admin', early);
      sockets.close(early);
      assert.equal(await answerAt(place), 'early', 'nothing else listens yet');
      assert.deepEqual(sockets.names, ['admin']);
      const late = named('late');
      assert.deepEqual(await sockets.listen('admin', late, configured), expected);
      assert.deepEqual([await answerAt(place), late.listening], ['late', true]);
      sockets.giveBack('admin', late);
      assert.deepEqual(sockets.dropUnused(), ['admin']);
      await assert.rejects(answerAt(place), /ECONNREFUSED|ENOENT/);
    });

  it('that no service manager gave are not given back', async () => {
    const sockets = new ListenSockets();
    const server = named('mine');
    await sockets.listen('admin', server, ANY);
    sockets.giveBack('admin', server);
    assert.deepEqual([sockets.names, sockets.all().length], [[], 1]);
  });

  it('leave the path of a Unix socket behind when a successor listens there, else not', async () => {
    const path = join(scratch.path, 's');
    for (const keeps of [false, true]) {
      const sockets = new ListenSockets();
      const server = named('mine');
      await sockets.listen('admin', server, { kind: 'unix', path });
      assert.equal(await answerAt(path), 'mine');
      if (keeps) sockets.keepPaths();
      sockets.close(server);
      assert.equal(existsSync(path), keeps);
      assert.deepEqual(sockets.all(), []);
    }
  });

  it('are closed also where the path that is to stay has been removed', async () => {
    const path = join(scratch.path, 's');
    const sockets = new ListenSockets();
    const server = named('mine');
    await sockets.listen('admin', server, { kind: 'unix', path });
    sockets.keepPaths();
    rmSync(path);
    sockets.close(server);
    assert.equal(server.listening, false);
    assert.equal(existsSync(path), false);
  });
});
