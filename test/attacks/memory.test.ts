/**
 * Payload that is not read: answers left unread (CVE-2019-9511, 9517) and uploads the upstream does not read. What the
 * sidecar holds for all of them together stays within `memory_budget`.
 *
 * Each case has a sidecar of its own, because resident memory once grown does not shrink.
 */

import assert from 'node:assert/strict';
import { AttackedSidecar, SIDES } from '../kit/attacks/attacked-sidecar.js';
import { type HeldPayload, holdRequests, holdResponses, peakDuring } from '../kit/attacks/held-payload.js';
import { LARGE_BYTES, Path } from '../kit/attacks/upstream-worker.js';
import { data, grpcMessage } from '../kit/http2/h2-frames.js';
import { openRequest } from '../kit/http2/raw-client.js';

const MIB = 1 << 20;
const BUDGET_MIB = 32;
/** What is held for a budget, at most: a slice keeps twice its size of what was read, and streams and tables take room. */
const LIVE_MIB = 2 * BUDGET_MIB + 48;
/** All that payload passes the canary's answers on the connection to the upstream: a while, but not for long. */
const CANARY_MS = 500;
/** Answers of more than a hundred MiB pass the canary's calls on their one connection to the upstream. */
const HOARD_MS = 1500;
/** First windows alone are five times the budget. */
const HOARD: HeldPayload = { connections: 10, streams: 250 };
const HOARD_BYTES = 10 * 250 * 64 * 1024;
const OFFERED_MIB = HOARD_BYTES / MIB;
/** The upstream takes so little of a request that the rest waits in the sidecar, however fast each of them is. */
const STREAM_WINDOW = 1024;
/** As much as the sidecar's window for one stream. */
const UPLOAD = Buffer.alloc(256 * 1024 - 100);

describe('attacks: payload that is not read', () => {
  let target: AttackedSidecar;
  let rssBefore = 0;
  let liveBefore = 0;
  beforeEach(async () => {
    target = await AttackedSidecar.open({
      limits: { memory_budget: `${BUDGET_MIB}MiB` },
      streamWindow: STREAM_WINDOW,
    });
    liveBefore = await target.liveBytes();
    rssBefore = target.rssBytes();
  });
  afterEach(async () => {
    await target.disconnectAttackers();
    await target.close();
  });

  /** What was sent is read and dealt with: a second at least, and until something has been shed. */
  async function shed(): Promise<void> {
    const startMs = performance.now();
    const isDone = async (): Promise<boolean> =>
      performance.now() - startMs > 1000 && (await target.sidecar.metric('outrider_shed_calls_total')) > 0;
    while (!(await isDone())) {
      assert.ok(performance.now() - startMs < 15_000, 'nothing was shed');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /**
   * What it holds is in proportion to the budget. RSS is not: on a busy machine the collector comes late, and what it has
   * not got to was 50 MiB and more. So that is only less than what is offered, in all.
   */
  async function assertBounded(offeredBytes: number, rssBytes = target.rssBytes()): Promise<void> {
    const liveMib = Math.round(((await target.liveBytes()) - liveBefore) / MIB);
    const found = `of ${Math.round(offeredBytes / MIB)} MiB offered, with a budget of ${BUDGET_MIB} MiB`;
    assert.ok(liveMib < LIVE_MIB, `${liveMib} MiB are held ${found}`);
    const grownMib = Math.round((rssBytes - rssBefore) / MIB);
    assert.ok(grownMib < Math.max(OFFERED_MIB, offeredBytes / MIB), `RSS grew by ${grownMib} MiB ${found}`);
  }

  for (const side of SIDES) {
    for (const [what, leave] of [
      ['answers behind windows that stay shut', holdResponses],
      ['requests that never end', holdRequests],
    ] as const) {
      it(`${side}: 2,500 ${what}`, async () => {
        const attack = async (): Promise<void> => {
          await leave(target, side, HOARD);
          await shed();
        };
        const peak = await peakDuring(
          () => target.rssBytes(),
          () => target.underAttack(side, attack, HOARD_MS),
        );
        let waiting = Number.POSITIVE_INFINITY;
        const endMs = performance.now() + 5000;
        while (waiting > BUDGET_MIB * MIB && performance.now() < endMs)
          waiting = await target.sidecar.metric('outrider_waiting_bytes');
        assert.ok(waiting <= BUDGET_MIB * MIB, `${waiting} bytes wait`);
        await assertBounded(HOARD_BYTES, peak);
      }).timeout(60_000);
    }

    it(`${side}: 500 answers of 200 KB unread`, async () => {
      const attack = async (): Promise<void> => {
        await holdResponses(target, side, { connections: 5, streams: 100 });
        await new Promise((resolve) => setTimeout(resolve, 500));
      };
      await target.underAttack(side, attack, CANARY_MS);
      await assertBounded(500 * LARGE_BYTES);
    });

    it(`${side}: 500 uploads of 256 KiB that the upstream does not read`, async () => {
      const attack = async (): Promise<void> => {
        for (let i = 0; i < 5; i += 1) {
          const peer = await target.attacker(side);
          for (let k = 0; k < 100; k += 1) {
            const streamId = 2 * k + 1;
            const message = grpcMessage(Buffer.alloc(10), 4 * MIB);
            peer.queue(streamId, openRequest(streamId, Path.hold), data(streamId, message));
            peer.queueShared(streamId, UPLOAD);
          }
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      };
      await target.underAttack(side, attack, CANARY_MS);
      await assertBounded(500 * UPLOAD.length);
    });
  }
});
