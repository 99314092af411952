/** Drills of what calls do not go through: Consul, and the authority of certificates. Each asks whether calls need it all the same. */

import { freePort } from '../arms/keeper.js';
import { instancesAt, noInstances, readsFail } from '../faults/consul-proxy.js';
import { whyNoConsul } from '../faults/own-consul.js';
import type { ArmName } from '../history/record.js';
import type { Drill, Stage } from './drill.js';

const STATIC = 'its addresses stand in its configuration, and nothing asks Consul';
const UNTOUCHED: Partial<Record<ArmName, string>> = {
  'pick-first': STATIC,
  'round-robin': STATIC,
  envoy: STATIC,
};
const COMMON = { set: 'full', equipment: 'consul', untouched: UNTOUCHED, missing: whyNoConsul } as const;

const LIE_MS = 1_500;

/** A line on the timeline: how much Consul has. */
async function recordRegistered({ standing, mark }: Stage): Promise<void> {
  const ids = await standing.consul?.registered().catch(() => undefined);
  if (ids !== undefined) mark('note', `${ids.length} entries are registered with Consul`);
}

/** A control plane that is away must not be missed; a replica that dies meanwhile is noticed without it. */
export const consulGone: Drill = {
  ...COMMON,
  name: 'consul-gone',
  title: 'Consul is gone',
  does: 'SIGKILL to the Consul agent, which is away for 4.5 s, and meanwhile SIGKILL to the model process of one replica of three.',
  begin: async ({ standing, control, victim, sleep, later }) => {
    later(async () => standing.consul?.comeBack());
    await standing.consul?.die();
    await sleep(500);
    control.signal(victim, 'SIGKILL');
  },
};

/** An operator with the wrong script, or a clean-up that goes too far. Every sidecar has to notice that it is missing. */
export const consulEmptied: Drill = {
  ...COMMON,
  name: 'consul-emptied',
  title: 'Consul knows no service any more',
  does: 'Every service is deregistered at the Consul agent, whose catalogue is empty until the sidecars have registered themselves again.',
  times: { healedMs: 16_000 },
  begin: async (stage) => {
    await stage.standing.consul?.deregisterAll();
    await recordRegistered(stage);
  },
  end: recordRegistered,
};

/** A disk that was lost: with the services also the certificate authority is another one afterwards. */
export const consulForgets: Drill = {
  ...COMMON,
  name: 'consul-forgets',
  title: 'Consul has lost everything',
  does: 'SIGKILL to the Consul agent, whose data is removed; it starts again at once, with nothing registered and another certificate authority.',
  times: { healedMs: 16_000 },
  end: recordRegistered,
  begin: async ({ standing, later }) => {
    later(async () => standing.consul?.comeBack());
    await standing.consul?.die();
    standing.consul?.forget();
    standing.consul?.comeBack();
  },
};

/** A registry that is wrong and does not know it. Whatever it says, replicas that answer calls are better evidence. */
export const consulLying: Drill = {
  ...COMMON,
  name: 'consul-lying',
  title: 'Consul lies',
  does: 'Consul says for 1.5 s each that all replicas are at a port where nothing listens, that there are none (with an index that has gone back), and nothing but errors.',
  times: { faultMs: 0 },
  begin: async ({ standing, sleep, mark, later }) => {
    const proxy = standing.consul?.proxy;
    later(async () => proxy?.set(undefined));
    mark('note', 'Consul names a port where nothing listens');
    proxy?.set(instancesAt(await freePort()));
    await sleep(LIE_MS);
    mark('note', 'Consul names no replica, and an index that has gone back');
    proxy?.set(noInstances(1));
    await sleep(LIE_MS);
    mark('note', 'Consul answers every read with 500');
    proxy?.set(readsFail(500));
    await sleep(LIE_MS);
  },
};

const LIFETIME_MS = 4_000;
const NONE = 'it has no certificates';

/**
 * The authority is away for longer than certificates live. Calls have to go on until the last moment, to end then (a certificate that
 * is over proves nothing), and to begin again with the first new one.
 */
export const leafExpiry: Drill = {
  name: 'leaf-expiry',
  title: 'Certificates end, and none is issued',
  does: 'All sidecars get certificates that live for 4 s, and the authority then refuses each request until 2.5 s after their end; calls of that time have to fail.',
  set: 'full',
  untouched: { 'pick-first': NONE, 'round-robin': NONE, envoy: NONE },
  times: { faultMs: 6_500 },
  begin: async ({ standing, later }) => {
    const { issuer } = standing;
    if (issuer === undefined) return;
    later(async () => {
      issuer.authority.isAway = false;
      issuer.authority.lifetimeMs = undefined;
    });
    issuer.authority.lifetimeMs = LIFETIME_MS;
    await issuer.renewAll();
    issuer.authority.isAway = true;
  },
};
