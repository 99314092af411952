import type { ArmName } from '../../history/record.js';

export const ARM_TITLES: Readonly<Record<ArmName, string>> = {
  outrider: 'Outrider',
  'pick-first': 'gRPC alone',
  'round-robin': 'gRPC with retries',
  envoy: 'Envoy',
};

/** What an arm is, for a reader that knows none of them; `about.arms` of the history says how it is set. */
export const ARM_MEANINGS: Readonly<Record<ArmName, string>> = {
  outrider: 'The mesh that this report is about.',
  'pick-first': 'No mesh: the gRPC library as it comes.',
  'round-robin': 'No mesh: the gRPC library with balancing and retries.',
  envoy: 'A mesh of Envoy proxies in the places of the sidecars.',
};
