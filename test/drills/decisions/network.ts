/** Lines between sidecars that swallow, forget, lose or hold back. */

import type { SidecarFile } from '../../kit/process/sidecars.js';
import { REQUEST, summarize } from '../faults/load.js';
import { measure } from '../faults/times.js';
import { rssMb } from '../faults/usage.js';
import { type DecisionRow, drillRow } from './drill.js';
import { IMPATIENT, mostOf, RETRIED } from './mesh.js';

const blackHole = drillRow({
  name: 'black-hole',
  fault: 'nothing passes any more to one replica of three, and no connection is closed',
  plan: { isWired: true, upstream: { routes: [IMPATIENT] } },
  work: async ({ trial, mesh, load }) => {
    const fromMs = performance.now();
    mesh.replicas[0]!.wire!.set({ kind: 'dark' });
    const calls = await load.during(fromMs, trial.pick(2_500, 20_000));
    trial.expectAvailable(calls, 99);
    trial.expectNoneHangs(calls, 1_000);
  },
});

/** So that the short run sees what the defaults do in half a minute. */
const IMPATIENT_PINGS: SidecarFile = {
  pool: { ping_interval: '300ms', ping_timeout: '200ms' },
  ejection: { base: '2s' },
};

const halfOpen = drillRow({
  name: 'half-open',
  fault: 'the far end of a connection has forgotten it, and the near end was not told',
  plan: (trial) => ({ isWired: true, upstream: trial.pick(IMPATIENT_PINGS, {}) }),
  work: async ({ trial, mesh, load }) => {
    const { wire } = mesh.replicas[0]!;
    const before = wire!.accepted;
    const fromMs = performance.now();
    wire!.forget();
    const limitMs = trial.pick(2_000, 16_000);
    const replaced = await measure(() => wire!.accepted > before, limitMs * 1.5, fromMs);
    trial.within('the connection is replaced', limitMs, replaced);
    const calls = await load.between(fromMs);
    trial.expectNoneHangs(calls, 1_000);
    trial.expectAvailable(calls, trial.pick(50, 97));
    const afterMs = performance.now();
    const backMs = trial.pick(7_000, 35_000);
    const tookMs = await mesh.models[0]!.untilRuns(afterMs, backMs + 5_000, 1);
    trial.within('calls go there again', backMs, tookMs);
  },
});

const lossy = drillRow({
  name: 'lossy',
  fault: 'the lines to all replicas lose 5 % of what is sent, then 20 %',
  plan: { isWired: true, upstream: { routes: [RETRIED] } },
  load: { deadlineMs: 3_000 },
  work: async ({ trial, mesh, load }) => {
    const detections = await mesh.detections();
    for (const percent of [5, 20]) {
      for (const { wire } of mesh.replicas) wire!.set({ kind: 'lossy', percent });
      const fromMs = performance.now();
      trial.expectAvailable(await load.during(fromMs, trial.pick(1_500, 10_000)), percent < 20 ? 99.9 : 99);
    }
    trial.none('no endpoint is ejected', await detections(), 'times');
  },
});

/** 10 Mbit/s. */
const NARROW = 1_250_000;
const LARGE = { ...REQUEST, raw_input_contents: [new Uint8Array(3 << 20)] };

const narrow = drillRow({
  name: 'narrow',
  fault: 'tensors of 3 MiB over lines of 10 Mbit/s, three times as many as fit',
  plan: { isWired: true, serviceMs: 1 },
  load: { perSecond: 4, deadlineMs: 4_000, request: () => LARGE },
  work: async ({ trial, mesh, load }) => {
    const before = rssMb(mesh.caller.pid);
    for (const { wire } of mesh.replicas) wire!.set({ kind: 'narrow', bytesPerSecond: NARROW });
    const fromMs = performance.now();
    const endMs = fromMs + trial.pick(4_000, 20_000);
    const growth = Math.max(0, (await mostOf(() => rssMb(mesh.caller.pid), endMs)) - before);
    trial.expect('the caller’s sidecar grows by less than 64 MB', growth < 64, `${growth.toFixed(0)} MB`);
    const calls = await load.between(fromMs, endMs);
    trial.figure('answered', `${summarize(calls).ok} of ${calls.length}`);
    for (const { wire } of mesh.replicas) wire!.set({ kind: 'none' });
  },
});

export const NETWORK_ROWS: readonly DecisionRow[] = [blackHole, halfOpen, lossy, narrow];
