/**
 * A sidecar that may have few files open, and a client that takes all of them: those inside go on, connections of the
 * sidecar's own are made anew, and newcomers are refused until there is room.
 */

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { AttackedSidecar, SIDES } from '../kit/attacks/attacked-sidecar.js';
import { Path } from '../kit/attacks/upstream-worker.js';
import { openSocket, unaryRequest } from '../kit/http2/raw-client.js';
import type { RawPeer } from '../kit/http2/raw-peer.js';

const DESCRIPTORS = 192;
const CROWD = 300;
const LIMIT_MS = 5_000;

describe('attacks: file descriptors', () => {
  for (const side of SIDES) {
    describe(side, () => {
      let target: AttackedSidecar;
      let crowd: Socket[] = [];
      before(async () => {
        target = await AttackedSidecar.open({
          descriptors: DESCRIPTORS,
          limits: { handshakes_per_second: 2000 },
        });
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
        crowd = (await Promise.all(
          Array.from({ length: CROWD }, () => openSocket(target.address(side))),
        )) as Socket[];
        for (const socket of crowd) socket.on('error', () => {});
      }

      it('taken by a crowd cost those inside no call, and newcomers are let in when it has gone', async () => {
        const hits = await target.hitsDuring(async () => {
          const canary = await target.underAttack(side, async () => {
            await until('the canary is inside', async () => (await openAt(target)) > 0);
            await gather();
            await until(
              'the crowd is refused',
              async () => (await target.sidecar.limitHits('descriptors')) > 0,
            );
          });
          assert.equal(canary.connections, 1);
        });
        assert.ok(hits['descriptors']! > CROWD / 4, `${hits['descriptors']} refused`);
        disperse();
        await until('there is room', async () => (await openAt(target)) === 0);
        await target.underAttack(side, async () => {});
      }).timeout(30_000);

      it('are left for a connection of the sidecar itself that has to be made anew', async () => {
        const inside = await target.attacker(side);
        await served(inside, 1);
        await gather();
        await until('the crowd is refused', async () => (await target.sidecar.limitHits('descriptors')) > 0);
        await target.dropUpstream();
        let streamId = 1;
        await until('the call is served', () => {
          streamId += 2;
          return isServed(inside, streamId);
        });
      }).timeout(30_000);
    });
  }
});

function openAt(target: AttackedSidecar): Promise<number> {
  return target.sidecar.metric('outrider_connections_open');
}

async function served(peer: RawPeer, streamId: number): Promise<void> {
  assert.ok(await isServed(peer, streamId), `not answered: ${peer.describe()}`);
}

async function isServed(peer: RawPeer, streamId: number): Promise<boolean> {
  peer.send(unaryRequest(streamId, Path.quick));
  const last = await peer.waitFor(
    'an answer',
    (one) => one.streamId === streamId && one.fields?.get('grpc-status') !== undefined,
  );
  return last.fields?.get('grpc-status') === '0';
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + LIMIT_MS;
  while (!(await isSo())) {
    assert.ok(performance.now() < endMs, `in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
