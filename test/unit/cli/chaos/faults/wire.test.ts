/** A wire in user space: whatever is wrong with it, the bytes that arrive are those that were sent, in their order. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type Fault, Wire } from '../../../../../sidecar/cli/chaos/faults/wire.js';
import { until } from '../../../../kit/process/processes.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

describe('a wire between two sidecars', () => {
  let far: Server;
  let wire: Wire;
  let near: Socket;
  let received: Buffer[];
  let sent: number;
  let hasEnded: boolean;

  beforeEach(async () => {
    received = [];
    sent = 0;
    hasEnded = false;
    far = createServer((socket) => {
      socket.on('data', (bytes) => received.push(bytes)).on('error', () => {});
      socket.on('end', () => {
        hasEnded = true;
        socket.end();
      });
    }).listen(0, '127.0.0.1');
    await once(far, 'listening');
    wire = await Wire.open((far.address() as AddressInfo).port, seeded(1));
    near = connect(wire.port, '127.0.0.1');
    await once(near, 'connect');
  });

  afterEach(async () => {
    near.destroy();
    await wire.close();
    far.close();
  });

  /** Numbers, each in a piece of its own. */
  const send = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      near.write(`${sent++} `);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const arrived = (): string => Buffer.concat(received).toString();
  const expected = (): string => Array.from({ length: sent }, (_, i) => `${i} `).join('');

  const changes: readonly (readonly [string, Fault])[] = [
    ['is over', { kind: 'none' }],
    ['becomes a shorter one', { kind: 'late', byMs: 1 }],
    ['becomes a loss', { kind: 'lossy', percent: 50 }],
    ['becomes a narrow line', { kind: 'narrow', bytesPerSecond: 10_000 }],
  ];
  for (const [what, next] of changes)
    it(`keeps the order of bytes when a delay ${what} while some are on their way`, async () => {
      wire.set({ kind: 'late', byMs: 60 });
      await send(20);
      wire.set(next);
      await send(20);
      await until('all have arrived', () => arrived().length >= expected().length);
      assert.equal(arrived(), expected());
    });

  it('passes on the end after what came before it', async () => {
    wire.set({ kind: 'late', byMs: 30 });
    await send(5);
    near.end();
    await until('the end has come', () => hasEnded);
    assert.equal(arrived(), expected());
  });
});
