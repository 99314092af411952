/**
 * A sidecar that may have few files open, and a client that takes all of them: those inside go on, connections of the
 * sidecar's own are made anew, and newcomers are refused until there is room.
 */

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { AttackedSidecar, assertServes, SIDES } from '../kit/attacks/attacked-sidecar.js';
import { Path } from '../kit/attacks/upstream-worker.js';
import { openSocket, unaryRequest } from '../kit/http2/raw-client.js';
import type { RawPeer, Received } from '../kit/http2/raw-peer.js';
import { until } from '../kit/process/processes.js';

const DESCRIPTORS = 192;
const CROWD = 300;
const LIMIT_MS = 5_000;

describe('attacks: file descriptors', () => {
  for (const side of SIDES) {
    describe(side, () => {
      let target: AttackedSidecar;
      let crowd: Socket[] = [];
      before(async () => {
        const limits = { handshakes_per_second: 2000 };
        target = await AttackedSidecar.open({ descriptors: DESCRIPTORS, limits });
      });
      after(async () => {
        disperse();
        await target.disconnectAttackers();
        await target.close();
      });
      function disperse(): void {
        for (const socket of crowd.splice(0)) socket.destroy();
      }
      async function gather(): Promise<void> {
        const before = await target.sidecar.limitHits('descriptors');
        const open = async (): Promise<Socket> => {
          const socket = (await openSocket(target.address(side))) as Socket;
          return socket.on('error', () => {});
        };
        crowd = await Promise.all(Array.from({ length: CROWD }, open));
        const isRefused = async () => (await target.sidecar.limitHits('descriptors')) - before > CROWD / 4;
        await until('what finds no room of the crowd is refused', isRefused, LIMIT_MS);
      }

      it('taken by a crowd cost those inside no call, and newcomers are let in when it has gone', async () => {
        const canary = await target.underAttack(side, async () => {
          await until('the canary is inside', async () => (await openAt(target)) > 0, LIMIT_MS);
          await gather();
        });
        assert.equal(canary.connections, 1);
        disperse();
        await until('there is room', async () => (await openAt(target)) === 0, LIMIT_MS);
        await target.underAttack(side, async () => {});
      }).timeout(30_000);

      it('held by connections without calls go to a newcomer', async () => {
        // Until there is no room.
        for (let i = 0; i < CROWD; i++) {
          if (
            await target.attacker(side).then(
              () => false,
              () => true,
            )
          )
            break;
        }
        const isLetIn = async (): Promise<boolean> => {
          const newcomer = await target.attacker(side).catch(() => undefined);
          return newcomer !== undefined && (await isServed(newcomer, 1).catch(() => false));
        };
        await until('a newcomer is served', isLetIn, 4 * LIMIT_MS);
        await target.disconnectAttackers();
      }).timeout(60_000);

      it('are left for a connection of the sidecar itself that has to be made anew', async () => {
        const inside = await target.attacker(side);
        await assertServes(inside, 1);
        await gather();
        await target.dropUpstream();
        let streamId = 1;
        await until(
          'the call is served',
          () => {
            streamId += 2;
            return isServed(inside, streamId);
          },
          LIMIT_MS,
        );
      }).timeout(30_000);
    });
  }
});

function openAt(target: AttackedSidecar): Promise<number> {
  return target.sidecar.metric('outrider_connections_open');
}

async function isServed(peer: RawPeer, streamId: number): Promise<boolean> {
  peer.send(unaryRequest(streamId, Path.quick));
  const statusOf = (one: Received) =>
    one.streamId === streamId ? one.fields?.get('grpc-status') : undefined;
  return statusOf(await peer.waitFor('an answer', (one) => statusOf(one) !== undefined)) === '0';
}
