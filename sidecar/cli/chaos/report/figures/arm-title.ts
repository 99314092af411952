import type { ArmName } from '../../history/record.js';

/** Names of arms for people. */
export const ARM_TITLES: Readonly<Record<ArmName, string>> = {
  outrider: 'Outrider',
  'pick-first': 'gRPC alone',
  'round-robin': 'gRPC, retries',
  envoy: 'Envoy',
};

/** What an arm is, for a reader that knows none of them; `about.arms` of the history says how it is set. */
export const ARM_MEANINGS: Readonly<Record<ArmName, string>> = {
  outrider: 'An Outrider sidecar beside the clients and one beside each model.',
  'pick-first':
    'No mesh: the gRPC library (grpc-js) with its default policy, all calls over one connection to the first address that answers.',
  'round-robin':
    'No mesh: the gRPC library (grpc-js) with round_robin over all addresses and retries by its service config.',
  envoy: 'The Envoy proxy in the places of the sidecars.',
};
