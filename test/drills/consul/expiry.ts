/** Row: the authority is away for longer than certificates live. */

import { setTimeout as delay } from 'node:timers/promises';
import { type Load, type SentCall, summarize } from '../faults/load.js';
import type { Row, Trial } from '../faults/row.js';
import { measure, seconds } from '../faults/times.js';
import { ShortLivedAuthority } from './authority.js';
import type { ConsulMesh } from './mesh.js';
import { untilRefused, untilServed } from './refusals.js';
import type { ConsulWorld } from './world.js';

const SERVICE = 'mayfly';
const CALLER = 'mayfly-caller';
/** Peers need not learn that these instances leave. */
const CONSUL = { registration: { propagation: '0s' } };
const CLOSED_MS = 2_000;
const RECOVERY_MS = 5_000;
/** A call that is sent this shortly before the end of a certificate may meet it. */
const MARGIN_MS = 500;

export const leafExpired: Row<ConsulWorld> = {
  name: 'leaf-expired',
  fault: 'the authority is away for longer than the certificates live',
  async run(world, trial) {
    const authority = await ShortLivedAuthority.start(world.agent);
    let mesh: ConsulMesh | undefined;
    let load: Load | undefined;
    try {
      mesh = await world.openMesh(SERVICE, CALLER, CONSUL, authority);
      await mesh.untilCurrent();
      load = await mesh.startLoad();
      await expired(trial, { authority, mesh, load });
    } finally {
      await load?.stop();
      await mesh?.close();
      await authority.stop();
    }
  },
};

type Scene = Readonly<{ authority: ShortLivedAuthority; mesh: ConsulMesh; load: Load }>;

async function expired(trial: Trial, { authority, mesh, load }: Scene): Promise<void> {
  const isAuthority = (path: string) => path.startsWith('/v1/agent/connect/ca/');
  const lifetimeMs = trial.pick(3_000, 60_000);
  let endMs = 0;
  let healedMs = 0;
  const calls = await trial.under(load, async () => {
    authority.renew(lifetimeMs);
    // Certificates count in whole seconds of the calendar; everything here counts from the start of the process.
    endMs = performance.now() + (await authority.notAfterMs(SERVICE)) - Date.now();
    await delay(500);
    for (const { proxy } of mesh.nodes) {
      await proxy.set({ kind: 'status', status: 500, body: 'the authority is away' }, isAuthority);
      proxy.cut();
    }
    await delay(endMs - performance.now() - MARGIN_MS);
    if (trial.pace === 'full') {
      const silent = mesh.nodes.filter(({ output }) => !output.includes('our certificate expires in'));
      const names = silent.map(({ name }) => name).join(', ');
      trial.expect('every sidecar has said that the end is near', silent.length === 0, names || 'all');
    }
    await measure(() => load.since(endMs).failed > 0, CLOSED_MS + MARGIN_MS);
    await delay(trial.pick(300, 10_000));
    authority.renew();
    for (const { proxy } of mesh.nodes) await proxy.set({ kind: 'none' });
    healedMs = performance.now();
    await measure(() => load.since(healedMs).ok > 0, RECOVERY_MS + 1_000);
    await delay(trial.pick(200, 3_000));
  });
  trial.figure('life', seconds(lifetimeMs));
  judge(trial, calls, endMs, healedMs);
}

function judge(trial: Trial, calls: readonly SentCall[], endMs: number, healedMs: number): void {
  const early = calls.filter(({ startMs }) => startMs < endMs - MARGIN_MS);
  trial.noneFailed('no call fails while the certificates last', early);
  const away = calls.filter(({ startMs }) => startMs >= endMs && startMs < healedMs);
  trial.within('after that calls are refused', CLOSED_MS, untilRefused(calls, endMs, healedMs));
  const kinds = summarize(away).failures.map(({ what, count }) => `${count} ${what}`);
  const isClear = kinds.length > 0 && kinds.every((what) => / UNAVAILABLE (?!without)/.test(what));
  trial.expect('with UNAVAILABLE and a reason', isClear, kinds.join(', '));
  const promise = 'once there are certificates again, every call is served';
  trial.within(promise, RECOVERY_MS, untilServed(calls, healedMs));
}
