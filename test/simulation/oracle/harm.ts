/** Which faults may cost a call. */
import {
  COLLECTOR_FAULTS,
  DISK_FAULTS,
  DNS_FAULTS,
  type FaultPlan,
  fewNameOf,
  isConsulFault,
  type Plan,
  ROOT_FAULTS,
} from '../plan/plan.js';

/** None of these costs a call. */
const HARMLESS: readonly string[] = [
  ...['reload', 'takeover'],
  ...[...DISK_FAULTS, ...DNS_FAULTS, ...ROOT_FAULTS, ...COLLECTOR_FAULTS],
];
/** A draining sidecar gives the calls under way so long; then its successor starts, ms. */
export const DRAIN_MS = 30_000;
/** A name is asked for again within this, ms. */
const DNS_READ_MS = 3_000;
/** A sidecar that could not read Consul asks again within this, ms. */
const READS_AGAIN_MS = 31_000;

/** What is written, asked of name servers and Consul, or changed by an operator costs none, nor a clock that jumps where no certificate expires by it. */
export function isHarm(plan: Plan, fault: FaultPlan): boolean {
  const { kind } = fault;
  if (kind === 'clock-jump') return plan.certificateMs !== undefined;
  if (kind === 'drain') return isAlone(plan, fault);
  return !HARMLESS.includes(kind) && !isConsulFault(kind);
}

/** Whether nobody else may be there for calls that come while a replica starts again, or its successor cannot ask Consul what it needs. */
function isAlone({ faults, callers, replicas }: Plan, { atMs, target }: FaultPlan): boolean {
  const endMs = atMs + DRAIN_MS;
  if (
    faults.some(
      (each) => isConsulFault(each.kind) && each.atMs <= endMs && each.untilMs + READS_AGAIN_MS >= atMs,
    )
  )
    return true;
  const isLost = (each: FaultPlan): boolean => each.kind === 'dns-loses' || each.kind === 'dns-empty';
  if (faults.some((each) => isLost(each) && each.atMs <= endMs && each.untilMs + DNS_READ_MS >= atMs))
    return true;
  const service = replicas.find(({ name }) => name === target)?.service ?? '';
  const files = [...callers.map(({ file }) => file), ...faults.map(({ file }) => file)];
  return files.some((file) => {
    const upstream = upstreamsOf(file)[service];
    if (upstream === undefined) return false;
    return upstream.dns?.name === fewNameOf(service) || usableOf(upstream).length === 1;
  });
}

/** An upstream, as far as it says which endpoints it has. */
export interface EndpointsOfFile {
  readonly endpoints?: readonly (string | { readonly address: string; readonly weight: number })[];
  readonly dns?: { readonly name: string };
}

/** Addresses that get calls. */
export function usableOf({ endpoints = [] }: EndpointsOfFile): string[] {
  return endpoints.flatMap((each) => {
    if (typeof each === 'string') return [each];
    return each.weight > 0 ? [each.address] : [];
  });
}

type Upstreams = Readonly<Record<string, EndpointsOfFile>>;

export function upstreamsOf(file: object | undefined): Upstreams {
  return (file as { outbound?: { upstreams: Upstreams } } | undefined)?.outbound?.upstreams ?? {};
}
