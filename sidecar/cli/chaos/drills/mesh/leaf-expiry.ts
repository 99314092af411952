import type { Drill } from '../drill.js';

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
