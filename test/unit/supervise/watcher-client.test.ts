import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBeat, WatcherClient } from '../../../sidecar/supervise/watcher-client.js';
import { until } from '../../kit/process/processes.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

describe('client of a watcher thread', () => {
  let directory: string;
  let path: string;
  let server: Server | undefined;
  const sockets: Socket[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'outrider-watcher-'));
    path = join(directory, 's.w');
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    server = undefined;
    rmSync(directory, { recursive: true, force: true });
  });

  const serve = (): Promise<void> => {
    server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.resume();
    });
    return new Promise((resolve) => server!.listen(path, () => resolve()));
  };

  it('suspects a watcher that was known and says nothing, and takes time it had no core for into account', async () => {
    const clock = new ManualClock();
    await serve();
    const client = new WatcherClient(path, clock);
    client.open();
    await until('it is connected', () => sockets.length === 1);
    assert.equal(client.signs(false), null, 'a server that never spoke is none that fell silent');
    sockets[0]!.write('{"beat":1,"runs":3,"running":null,"tid":9}\n');
    await until('it is heard', () => client.signs(false));
    client.close();
    client.open();
    await until('it is connected again', () => sockets.length === 2);
    for (let i = 0; i < 14; i++) {
      clock.advance(500);
      client.signs(i < 7);
    }
    assert.equal(client.signs(false)!.silentForMs, 7_000);
    assert.ok(client.signs(false)!.phi < 12, 'half of the time it waited for a core');
    clock.advance(4_000);
    assert.ok(client.signs(false)!.phi >= 12);
    client.forgiveStall();
    assert.ok(client.signs(false)!.phi < 1, 'our own silence');
    client.close();
  });

  it('leaves a server without a watcher alone after some tries', async () => {
    const client = new WatcherClient(path, new ManualClock());
    for (let i = 0; i < 20; i++) {
      client.open();
      await new Promise((resolve) => setImmediate(resolve));
      client.close();
    }
    await serve();
    client.open();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(sockets.length, 0);
    assert.equal(client.signs(false), null);
  });

  for (const line of [
    'no json',
    'null',
    '7',
    '{"runs":-1,"running":null}',
    '{"runs":"1","running":null}',
    '{"runs":1}',
    '{"runs":1,"running":{"forMs":"x","deadlineInMs":null}}',
    '{"runs":1,"running":{"forMs":1,"deadlineInMs":"soon"}}',
  ]) {
    it(`takes ${line} for no beat`, () => assert.equal(parseBeat(line), undefined));
  }

  it('reads a beat', () => {
    const running = { forMs: 12, deadlineInMs: -5 };
    assert.deepEqual(parseBeat(JSON.stringify({ beat: 4, runs: 9, running, tid: 77 })), {
      runs: 9,
      running,
      tid: 77,
    });
  });
});
