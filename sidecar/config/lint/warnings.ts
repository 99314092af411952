/**
 * What is valid and yet perhaps not meant: open doors, closed doors, and options that can have no effect.
 */
import { IntentionTable } from '../../core/authorization/intentions.js';
import { type Address, isLocalAddress, writeAddress } from '../codecs/address.js';
import type { MeshFile } from '../implied-caller.js';
import { callListeners, listeners } from '../options/listener-conflicts.js';
import { below, type Report } from '../options/option.js';
import type { SidecarFile } from '../options/sidecar-file.js';
import type { Warning } from '../problem.js';
import { warnOfCallCycles } from './call-cycles.js';
import { warnOfConsul, warnOfRegistration } from './consul.js';
import { type UpstreamFacts, warnOfDrills, warnOfPolicies, warnOfQueue } from './policies.js';

/** Warnings about a valid sidecar file. */
export function sidecarWarnings(file: SidecarFile): Warning[] {
  const { admin, observe, inbound, outbound, consul, limits } = file;
  return collect((warn) => {
    warnOfOpenAdmin(['admin'], admin, warn);
    if (inbound !== undefined) warnOfInbound(file, inbound, below(['inbound'], warn));
    if (outbound !== undefined) {
      const inside = below(['outbound'], warn);
      warnOfUpstreams(outbound, (_, { endpoints }) => listed(endpoints, limits.memory_budget), inside);
    }
    warnOfDrills(file, admin, { isAdminNeeded: true }, warn);
    const own = listeners(
      [['admin'], admin],
      [['observe'], observe],
      [['inbound', 'listen'], inbound?.listen],
    );
    warnOfConsul(consul, [...own, ...callListeners(['outbound'], outbound)], warn);
    warnOfRegistration(file, warn);
  });
}

/** Warnings about a valid mesh file, with what it implies. */
export function meshWarnings(file: MeshFile): Warning[] {
  const { caller, consul, services, limits } = file;
  return collect((warn) => {
    warnOfOpenAdmin(['caller', 'admin'], caller.admin, warn);
    warnOfUpstreams(caller, (name) => replicasOf(file, name), below(['caller'], warn));
    warnOfDrills(file, caller.admin, { isAdminNeeded: false }, warn);
    const own = listeners([['caller', 'admin'], caller.admin]);
    warnOfConsul(consul, [...own, ...callListeners(['caller'], caller)], warn);
    warnOfClosedUpstreams(file, caller.name, caller.upstreams, below(['caller', 'upstreams'], warn));
    for (const [name, { queue, upstreams = {} }] of Object.entries(services)) {
      const inside = below(['services', name], warn);
      warnOfQueue(queue, limits.memory_budget, below(['queue'], inside));
      warnOfUpstreams({ upstreams }, (upstream) => replicasOf(file, upstream), inside);
      warnOfClosedUpstreams(file, name, upstreams, below(['upstreams'], inside));
    }
    warnOfCallCycles(services, below(['services'], warn));
  });
}

function collect(run: (warn: Report) => void): Warning[] {
  const warnings: Warning[] = [];
  run((path, message) => warnings.push({ path, message }));
  return warnings;
}

type UpstreamFile = MeshFile['caller']['upstreams'][string];
type Endpoints = NonNullable<SidecarFile['outbound']>['upstreams'][string]['endpoints'];

/** What a sidecar file says of an upstream's endpoints. */
function listed(endpoints: Endpoints, memoryBudget: number): UpstreamFacts {
  if (endpoints === undefined) return { memoryBudget };
  const localities = endpoints.map(({ locality }) => locality);
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

interface CallsFile<U extends UpstreamFile> {
  readonly shared?: MeshFile['caller']['shared'];
  readonly upstreams: Readonly<Record<string, U>>;
}

/** Upstreams that no intention of the file lets `from` call. Where the file has none, Consul decides. */
function warnOfClosedUpstreams(
  file: MeshFile,
  from: string,
  upstreams: MeshFile['caller']['upstreams'],
  warn: Report,
): void {
  const { intentions } = file;
  if (file.areIntentionsImplied || (file.consul?.intentions === true && intentions.length === 0)) return;
  const table = new IntentionTable(intentions, file.default_intention, 0);
  for (const upstream of Object.keys(upstreams))
    if (table.decisionFor(from, upstream) === 'deny')
      warn(
        [upstream],
        `no intention lets ${from} call it; every call will be answered with PERMISSION_DENIED`,
      );
}

function warnOfInbound(
  { service, limits, consul }: SidecarFile,
  inbound: NonNullable<SidecarFile['inbound']>,
  warn: Report,
): void {
  if (inbound.mtls === 'permissive')
    warn(['mtls'], 'plaintext callers are let in without identity; meant for introducing a mesh only');
  if (inbound.mtls === 'off')
    warn(['mtls'], 'callers are not authenticated, and everything is readable on the way');
  if (!isLocalAddress(inbound.local))
    warn(['local'], `${writeAddress(inbound.local)} is not on this machine; the way there is plaintext`);
  const isOpen =
    consul?.intentions === true ||
    inbound.default_intention === 'allow' ||
    inbound.intentions?.some(({ to, action }) => action === 'allow' && (to === service || to === '*'));
  if (!isOpen) warn(['intentions'], `no intention allows calls to ${service}`);
  warnOfQueue(inbound.queue, limits.memory_budget, below(['queue'], warn));
}

/** `knownOf`: what the file lets one know of an upstream. */
function warnOfUpstreams<U extends UpstreamFile>(
  { shared, upstreams }: CallsFile<U>,
  knownOf: (name: string, upstream: U) => UpstreamFacts,
  warn: Report,
): void {
  warnOfOpenListener(['shared', 'listen'], shared?.listen, warn);
  for (const [name, upstream] of Object.entries(upstreams)) {
    const inside = below(['upstreams', name], warn);
    const { budget, routes } = upstream;
    warnOfOpenListener(['listen'], upstream.listen, inside);
    const hasRetries = routes.some(({ retry }) => retry !== undefined);
    if (hasRetries && budget.ratio === 0 && budget.per_second === 0)
      inside(['budget'], 'a budget of nothing: the retries of its routes never happen');
    warnOfPolicies(upstream, knownOf(name, upstream), inside);
  }
}

function warnOfOpenAdmin(path: string[], address: Address | undefined, warn: Report): void {
  if (address === undefined || isLocalAddress(address)) return;
  warn(
    path,
    `a client that reaches ${writeAddress(address)} can read and drain this sidecar: there is no authentication`,
  );
}

function warnOfOpenListener(path: string[], address: Address | undefined, warn: Report): void {
  if (address === undefined || isLocalAddress(address)) return;
  warn(path, `a client that reaches ${writeAddress(address)} calls with this sidecar's identity`);
}
