/**
 * What is valid and yet perhaps not meant: open doors, closed doors, and options that can have no effect.
 */
import { IntentionTable } from '../../core/authorization/intentions.js';
import { isLocalAddress, writeAddress } from '../codecs/address.js';
import { writeSize } from '../codecs/size.js';
import type { Path, Warning } from '../file/problem.js';
import type { MeshFile } from '../implied-caller.js';
import type { Address } from '../model.js';
import type { SidecarFile } from '../options/sidecar-file.js';
import { consulWarnings, unreachableRegistration } from './consul.js';
import { decisionWarnings, drillWarnings, queueWarnings, type UpstreamFacts } from './policies.js';

/** Warnings about a valid sidecar file. */
export function sidecarWarnings(file: SidecarFile): Warning[] {
  const concerns = openAdmin(['admin'], file.admin);
  if (file.inbound !== undefined) concerns.push(...inboundWarnings(file, file.inbound));
  if (file.outbound !== undefined) {
    const path = ['outbound'];
    concerns.push(...openListener([...path, 'shared', 'listen'], file.outbound.shared?.listen));
    concerns.push(...upstreamWarnings(path, file.outbound.upstreams));
    for (const [name, upstream] of Object.entries(file.outbound.upstreams))
      concerns.push(...decisionWarnings([...path, 'upstreams', name], upstream, endpointsOf(file, upstream)));
  }
  concerns.push(...drillWarnings(file, file.admin, true));
  concerns.push(...consulWarnings(file.consul, sidecarListeners(file)), ...unreachableRegistration(file));
  return concerns;
}

/** Warnings about a valid mesh file, with what it implies. */
export function meshWarnings(file: MeshFile): Warning[] {
  const concerns = openAdmin(['caller', 'admin'], file.caller.admin);
  concerns.push(...openListener(['caller', 'shared', 'listen'], file.caller.shared?.listen));
  concerns.push(...upstreamWarnings(['caller'], file.caller.upstreams));
  for (const [name, upstream] of Object.entries(file.caller.upstreams))
    concerns.push(...decisionWarnings(['caller', 'upstreams', name], upstream, replicasOf(file, name)));
  concerns.push(...drillWarnings(file, file.caller.admin, false));
  concerns.push(...consulWarnings(file.consul, meshListeners(file)), ...closedUpstreams(file));
  for (const [name, service] of Object.entries(file.services)) {
    concerns.push(
      ...queueWarnings(['services', name, 'queue'], service.queue),
      ...idleQueueBound(
        ['services', name, 'queue'],
        service.queue.max_waiting_bytes,
        file.limits.memory_budget,
      ),
    );
  }
  return concerns;
}

/** What a sidecar file says of an upstream's endpoints. */
function endpointsOf(
  { limits }: SidecarFile,
  { endpoints }: NonNullable<SidecarFile['outbound']>['upstreams'][string],
): UpstreamFacts {
  const memoryBudget = limits.memory_budget;
  if (endpoints === undefined) return { memoryBudget };
  const localities = endpoints.map((each) => ('kind' in each ? undefined : each.locality));
  return { memoryBudget, endpoints: endpoints.length, localities };
}

/** What a mesh file says of them: with Consul there may be others elsewhere. */
function replicasOf({ services, consul, limits }: MeshFile, name: string): UpstreamFacts {
  const memoryBudget = limits.memory_budget;
  const service = services[name];
  if (service === undefined || consul !== undefined) return { memoryBudget };
  const { replicas, queue } = service;
  return { memoryBudget, endpoints: replicas, capacity: replicas * queue.concurrency };
}

type Listeners = readonly (readonly [path: Path, address: Address | undefined])[];

function sidecarListeners({ admin, inbound, outbound }: SidecarFile): Listeners {
  return [
    [['admin'], admin],
    [['inbound', 'listen'], inbound?.listen],
    ...callListeners(['outbound'], outbound?.shared, outbound?.upstreams ?? {}),
  ];
}

function meshListeners({ caller }: MeshFile): Listeners {
  return [[['caller', 'admin'], caller.admin], ...callListeners(['caller'], caller.shared, caller.upstreams)];
}

function callListeners(
  above: Path,
  shared: MeshFile['caller']['shared'],
  upstreams: Readonly<Record<string, UpstreamFile>>,
): Listeners {
  return [
    [[...above, 'shared', 'listen'], shared?.listen],
    ...Object.entries(upstreams).map(
      ([name, { listen }]) => [[...above, 'upstreams', name, 'listen'], listen] as const,
    ),
  ];
}

/** Upstreams that no intention of the file lets the caller call. Where the file has none, Consul decides. */
function closedUpstreams(file: MeshFile): Warning[] {
  if (file.areIntentionsImplied) return [];
  if (file.consul?.intentions === true && file.intentions.length === 0) return [];
  const table = new IntentionTable(file.intentions, file.default_intention, 0);
  return Object.keys(file.caller.upstreams).flatMap((upstream) => {
    if (table.allows(file.caller.name, upstream)) return [];
    const message = `no intention lets ${file.caller.name} call it; every call will be answered with PERMISSION_DENIED`;
    return [{ path: ['caller', 'upstreams', upstream], message }];
  });
}

function inboundWarnings(
  { service, limits, consul }: SidecarFile,
  inbound: NonNullable<SidecarFile['inbound']>,
): Warning[] {
  const concerns: Warning[] = [];
  const path = ['inbound'];
  if (inbound.mtls === 'permissive') {
    concerns.push({
      path: [...path, 'mtls'],
      message: 'plaintext callers are let in without identity; meant for introducing a mesh only',
    });
  }
  if (inbound.mtls === 'off') {
    concerns.push({
      path: [...path, 'mtls'],
      message: 'callers are not authenticated, and everything is readable on the way',
    });
  }
  if (!isLocalAddress(inbound.local)) {
    concerns.push({
      path: [...path, 'local'],
      message: `${writeAddress(inbound.local)} is not on this machine; the way there is plaintext`,
    });
  }
  const nobody =
    consul?.intentions !== true &&
    inbound.default_intention !== 'allow' &&
    !inbound.intentions?.some(({ to, action }) => action === 'allow' && (to === service || to === '*'));
  if (nobody)
    concerns.push({ path: [...path, 'intentions'], message: `no intention lets anyone call ${service}` });
  concerns.push(...queueWarnings([...path, 'queue'], inbound.queue));
  concerns.push(...idleQueueBound([...path, 'queue'], inbound.queue.max_waiting_bytes, limits.memory_budget));
  return concerns;
}

type UpstreamFile = MeshFile['caller']['upstreams'][string];

function upstreamWarnings(above: Path, upstreams: Readonly<Record<string, UpstreamFile>>): Warning[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    const path = [...above, 'upstreams', name];
    const concerns = openListener([...path, 'listen'], upstream.listen);
    const retries = upstream.routes.some((route) => route.retry !== undefined);
    if (retries && upstream.budget.ratio === 0 && upstream.budget.per_second === 0) {
      concerns.push({
        path: [...path, 'budget'],
        message: 'a budget of nothing: the retries of its routes never happen',
      });
    }
    return concerns;
  });
}

function openAdmin(path: Path, address: Address | undefined): Warning[] {
  if (address === undefined || isLocalAddress(address)) return [];
  return [
    {
      path,
      message: `a client that reaches ${writeAddress(address)} can read and drain this sidecar: there is no authentication`,
    },
  ];
}

function openListener(path: Path, address: Address | undefined): Warning[] {
  if (address === undefined || isLocalAddress(address)) return [];
  return [
    { path, message: `a client that reaches ${writeAddress(address)} calls with this sidecar's identity` },
  ];
}

function idleQueueBound(path: Path, waitingBytes: number, memoryBudget: number): Warning[] {
  if (waitingBytes <= memoryBudget) return [];
  const message = `max_waiting_bytes (${writeSize(waitingBytes)}) is above memory_budget (${writeSize(memoryBudget)}), which is reached first`;
  return [{ path, message }];
}
