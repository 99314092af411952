/**
 * `services.NAME.upstreams` of a mesh file: the services that a model service calls through its own sidecars.
 */
import { variableOf } from '../../upstream-variable.js';
import { address, entries, type FoundBlock, number } from '../found.js';
import type { Report } from '../option.js';
import { refuseBadNames } from './names.js';

/** For a block with `upstreams` and `replicas`. Without a listener an upstream has a socket of its own in each sidecar. */
export function serviceUpstreamsRules(found: FoundBlock, report: Report): void {
  const { upstreams } = found;
  refuseBadNames(upstreams, report);
  refuseSharedVariables(upstreams, ['upstreams'], report);
  const replicas = number(found['replicas']) ?? 1;
  if (replicas < 2) return;
  for (const [upstream, { listen }] of entries(upstreams)) {
    const at = address(listen);
    if (at === undefined || (at.kind === 'tcp' && at.port === 0)) continue;
    report(
      ['upstreams', upstream, 'listen'],
      `found one address for the sidecars of ${replicas} replicas; expected port 0, or no listen: each sidecar then has a socket of its own`,
    );
  }
}

/** Reports an upstream whose environment variable in the model process is that of an earlier one. */
export function refuseSharedVariables(upstreams: unknown, above: (string | number)[], report: Report): void {
  const names = new Map<string, string>();
  for (const [upstream] of entries(upstreams)) {
    const variable = variableOf(upstream);
    const other = names.get(variable);
    if (other === undefined) names.set(variable, upstream);
    else
      report(
        [...above, upstream],
        `found beside ${other}, and both are ${variable} to the model; expected names that differ in letters and digits`,
      );
  }
}
