/** Callers that make a sidecar hold answers, requests and streams, beside one that calls normally. */

import { setTimeout as delay } from 'node:timers/promises';
import {
  AttackedSidecar,
  type AttackedSidecarOptions,
  type Side,
} from '../../kit/attacks/attacked-sidecar.js';
import { type HeldPayload, holdRequests, holdResponses, peakDuring } from '../../kit/attacks/held-payload.js';
import type { Trial } from '../faults/row.js';
import type { DecisionRow } from './drill.js';

const MIB = 1 << 20;
const MOST_RSS_MIB = 300;
const CONCURRENCY = 5_000;
/** The control calls a sidecar without other load: beyond this the machine is too busy to show anything, ms. */
const BUSY_MS = 700;

interface HeldLoad {
  readonly name: string;
  readonly side: Side;
  readonly payload: HeldPayload;
  readonly leave: (target: AttackedSidecar, side: Side, payload: HeldPayload) => Promise<unknown>;
  readonly options?: AttackedSidecarOptions;
}

function heldLoads(trial: Trial): readonly HeldLoad[] {
  const many = (connections: number) => ({ connections: trial.pick(12, connections), streams: 250 });
  return [
    { name: 'answers behind closed windows', side: 'outbound', payload: many(60), leave: holdResponses },
    { name: 'requests without an end', side: 'inbound', payload: many(40), leave: holdRequests },
    {
      name: 'silent calls at a model with 100 streams',
      side: 'inbound',
      payload: { connections: 1, streams: 600 },
      leave: holdResponses,
      options: { streams: 100, limits: { max_concurrent_streams: 1_000 } },
    },
  ];
}

async function measureHeld(trial: Trial, held: HeldLoad): Promise<void> {
  const { name, side, payload, leave, options = {} } = held;
  const target = await AttackedSidecar.open({ concurrency: CONCURRENCY, ...options });
  let running = 0;
  let isOver = false;
  try {
    const attack = async (): Promise<void> => {
      await leave(target, side, payload);
      await delay(trial.pick(2_000, 10_000));
      isOver = true;
    };
    const watch = async (): Promise<void> => {
      while (!isOver) {
        running = Math.max(running, await target.sidecar.metric('outrider_queue_running'));
        await delay(100);
      }
    };
    const both = Promise.all([target.measureDuring(side, attack), watch()]);
    const peak = await peakDuring(
      () => target.rssBytes(),
      () => both,
    );
    const [[canary, control]] = await both;
    const size = `${payload.connections} × ${payload.streams} ${name}`;
    const rss = Math.round(peak / MIB);
    trial.figure(`${size}: RSS`, `${rss} MiB`);
    trial.figure(`${size}: canary`, `${canary.failed} of ${canary.calls} lost`);
    trial.figure(`${size}: running`, String(running));
    trial.expect(`${name}: RSS stays under ${MOST_RSS_MIB} MiB`, rss < MOST_RSS_MIB, `${rss} MiB`);
    const lost = `${canary.failed} of ${canary.calls}: ${canary.why}`;
    trial.expect(`${name}: the canary loses no call`, canary.failed === 0 && canary.calls > 0, lost);
    trial.expect(`${name}: no more run than may`, running <= CONCURRENCY, `${running}`);
    if (control.p99Ms > BUSY_MS)
      trial.disturbed ??= `calls of an idle sidecar take ${control.p99Ms.toFixed(0)} ms`;
  } finally {
    isOver = true;
    await target.disconnectAttackers();
    await target.close();
  }
}

const heldPayload: DecisionRow = {
  name: 'held-payload',
  fault: 'callers leave answers unread, requests unfinished, and calls silent, by the thousand',
  run: async (_, trial) => {
    for (const burden of heldLoads(trial)) await measureHeld(trial, burden);
  },
};

export const HELD_PAYLOAD_ROWS: readonly DecisionRow[] = [heldPayload];
