/** What the sidecars of a running mesh say of themselves: replicas of a service, the sidecar that calls it, and what they allow. */

import type { StatusReport } from '../../../admin/status.js';
import { writeAddress } from '../../../config/codecs/address.js';
import type { Address, SidecarConfig } from '../../../config/model.js';
import { nearest } from '../../../config/suggest.js';
import { CommandFailure } from '../../failure.js';

export interface MemberReport {
  readonly admin: Address;
  readonly report: Pick<StatusReport, 'service' | 'instance'>;
  readonly config: Pick<SidecarConfig, 'faultInjection' | 'inbound' | 'outbound'>;
  /** Faults that are on now, of calls and of processes. */
  readonly faultsOn: number;
}

export interface Replica {
  /** Its instance, such as `digits-1`. */
  readonly name: string;
  readonly admin: Address;
  /** `fault_injection` of its file. */
  readonly permission: SidecarConfig['faultInjection'];
  readonly faultsOn: number;
}

export interface Members {
  readonly service: string;
  readonly replicas: readonly Replica[];
  /** The sidecar beside a caller, through which our calls go. */
  readonly caller: {
    readonly name: string;
    readonly admin: Address;
    /** Where it takes calls to the service. */
    readonly target: string;
    readonly faultsOn: number;
  };
  /** Directory with the models and their golden inputs. */
  readonly golden: string;
}

/**
 * The replicas of one service and its caller.
 *
 * @param asked name of the service; absent: the only one that a sidecar beside a caller calls and that has a golden input.
 * @throws CommandFailure(2) where there is none, or it is not clear which.
 */
export function membersOf(reports: readonly MemberReport[], asked?: string): Members {
  const called = reports.flatMap((each) => callsOf(each).map((call) => ({ ...call, from: each })));
  const services = [...new Set(called.map(({ service }) => service))].filter((service) =>
    reports.some(({ report, config }) => report.service === service && config.inbound !== undefined),
  );
  const known = services.join(', ') || 'none';
  if (asked !== undefined && !services.includes(asked)) {
    const near = nearest(asked, services);
    throw new CommandFailure(
      `--service: found ${asked}; expected a service of this mesh that one of its sidecars calls: ${near ?? known}`,
      2,
    );
  }
  if (asked === undefined && services.length !== 1)
    throw new CommandFailure(`--service: expected one of the services of this mesh: ${known}`, 2);
  const service = asked ?? services[0]!;
  const { from, target } = called.find((call) => call.service === service)!;
  const own = reports.filter(
    ({ report, config }) => report.service === service && config.inbound !== undefined,
  );
  const golden = own.flatMap(({ config }) => config.inbound?.golden?.models ?? [])[0];
  if (golden === undefined)
    throw new CommandFailure(
      `${service} has no golden input to call it with: inbound.golden of its sidecars, found nothing, expected a directory of models`,
      2,
    );
  return {
    ...{ service, golden },
    replicas: own.map(({ admin, report, config, faultsOn }) => ({
      ...{ name: report.instance, admin, permission: config.faultInjection, faultsOn },
    })),
    caller: { name: from.report.service, admin: from.admin, target, faultsOn: from.faultsOn },
  };
}

/** The upstreams of a sidecar that have a listener of their own, sidecars beside replicas left out. */
function callsOf({ config }: MemberReport): readonly { readonly service: string; readonly target: string }[] {
  if (config.inbound !== undefined) return [];
  return (config.outbound?.upstreams ?? []).flatMap(({ name, listen }) =>
    listen === undefined ? [] : [{ service: name, target: writeAddress(listen) }],
  );
}
