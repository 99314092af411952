/** The registration as metric families. */

import type { Family } from '../../admin/view.js';
import type { Check } from './registration/checks.js';

export function registrationFamilies(
  isRegistered: boolean,
  counts: { readonly registrations: number; readonly failures: number },
  checks: readonly Check[],
): Family[] {
  const only = (value: number) => [{ labels: {}, value }];
  return [
    {
      kind: 'gauge',
      name: 'outrider_consul_registered',
      help: '1 while the agent had this instance and its checks when last asked.',
      samples: only(isRegistered ? 1 : 0),
    },
    {
      kind: 'counter',
      name: 'outrider_consul_registrations_total',
      help: 'Definitions sent to the agent; more than a few an hour mean that it keeps forgetting them.',
      samples: only(counts.registrations),
    },
    {
      kind: 'counter',
      name: 'outrider_consul_registration_failures_total',
      help: 'Rounds of registration, comparison or refresh that failed.',
      samples: only(counts.failures),
    },
    {
      kind: 'gauge',
      name: 'outrider_consul_check_passing',
      help: 'What each check tells Consul: 1 passing, 0 critical, or a warning that one of several models is not served.',
      samples: checks.map(({ id, state }) => ({
        labels: { check: id },
        value: state.status === 'passing' ? 1 : 0,
      })),
    },
  ];
}
