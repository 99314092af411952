import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { parseBeat, WatcherClient } from '../../../sidecar/supervise/watcher-client.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { Scratch } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

describe('client of a watcher thread', () => {
  let path: string;
  let sockets: Socket[];

  beforeEach(() => {
    const scratch = new Scratch();
    afterTest(() => scratch.remove());
    path = join(scratch.path, 's.w');
    sockets = [];
  });

  const serve = async (): Promise<void> => {
    const server = createServer((socket) => {
      sockets.push(socket);
      afterTest(() => socket.destroy());
      socket.on('error', () => {});
      socket.resume();
    });
    afterTest(() => new Promise((resolve) => server.close(resolve)));
    await new Promise<void>((resolve) => server.listen(path, resolve));
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
    // Connections are accepted in their order: one of the client would be there before this one.
    const marker = connect(path);
    afterTest(() => marker.destroy());
    await until('the marker is there', () => sockets.length > 0);
    assert.deepEqual([sockets.length, client.signs(false)], [1, null]);
  });

  for (const line of [
    ...['no json', 'null', '7', '{"runs":-1,"running":null}', '{"runs":"1","running":null}', '{"runs":1}'],
    '{"runs":1,"running":{"forMs":"x","deadlineInMs":null}}',
    '{"runs":1,"running":{"forMs":1,"deadlineInMs":"soon"}}',
  ])
    it(`takes ${line} for no beat`, () => assert.equal(parseBeat(line), undefined));

  it('reads a beat', () => {
    const running = { forMs: 12, deadlineInMs: -5 };
    const line = JSON.stringify({ beat: 4, runs: 9, running, tid: 77 });
    assert.deepEqual(parseBeat(line), { runs: 9, running, tid: 77 });
  });
});
