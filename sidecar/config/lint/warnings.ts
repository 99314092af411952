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
import { type UpstreamFacts, warnOfDrills, warnOfPolicies, warnOfQueue, warnOfRoutes } from './policies.js';

/** Warnings about a valid sidecar file. */
export function sidecarWarnings(file: SidecarFile): Warning[] {
  const { admin, observe, scaler, inbound, outbound, consul, limits } = file;
  return collect((warn) => {
    warnOfOpenAdmin(['admin'], admin, file.admin_token_file !== undefined, warn);
    if (inbound !== undefined) warnOfInbound(file, inbound, below(['inbound'], warn));
    if (outbound !== undefined) {
      const inside = below(['outbound'], warn);
      warnOfUpstreams(outbound, (_, upstream) => factsOf(upstream, limits.memory_budget), inside);
    }
    warnOfDrills(file, admin, { isAdminNeeded: true }, warn);
    const own = listeners(
      [['admin'], admin],
      [['observe'], observe],
      [['scaler', 'listen'], scaler?.listen],
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
    warnOfOpenAdmin(['caller', 'admin'], caller.admin, file.admin_token_file !== undefined, warn);
    warnOfUpstreams(caller, (name) => replicasOf(file, name), below(['caller'], warn));
    warnOfDrills(file, caller.admin, { isAdminNeeded: false }, warn);
    const own = listeners(
      [['caller', 'admin'], caller.admin],
      [['caller', 'scaler', 'listen'], caller.scaler?.listen],
    );
    warnOfConsul(consul, [...own, ...callListeners(['caller'], caller)], warn);
    warnOfClosedUpstreams(file, caller.name, caller.upstreams, below(['caller', 'upstreams'], warn));
    for (const [name, { queue, routes, upstreams = {} }] of Object.entries(services)) {
      const inside = below(['services', name], warn);
      warnOfQueue(queue, limits.memory_budget, below(['queue'], inside));
      warnOfRoutes(routes, below(['routes'], inside));
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
type SidecarUpstream = NonNullable<SidecarFile['outbound']>['upstreams'][string];

/** What a sidecar file says of an upstream's endpoints. */
function factsOf({ endpoints, dns, kubernetes }: SidecarUpstream, memoryBudget: number): UpstreamFacts {
  if (dns !== undefined) return { memoryBudget, places: 'none' };
  if (kubernetes !== undefined) return { memoryBudget, places: 'zones' };
  if (endpoints === undefined) return { memoryBudget };
  const places = endpoints.map(({ locality }) => locality);
  return { memoryBudget, endpoints: endpoints.length, places };
}

/** What a mesh file says of them: with Consul there may be others elsewhere. */
function replicasOf({ services, consul, limits }: MeshFile, name: string): UpstreamFacts {
  const memoryBudget = limits.memory_budget;
  const service = services[name];
  if (service === undefined) return { memoryBudget };
  const { replicas, queue, engine } = service;
  if (consul !== undefined) return { memoryBudget, engine };
  // `auto` is not known here.
  const capacity = queue.concurrency > 0 ? { capacity: replicas * queue.concurrency } : {};
  return { memoryBudget, engine, endpoints: replicas, ...capacity };
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

type InboundFile = NonNullable<SidecarFile['inbound']>;

function warnOfInbound({ service, limits, consul }: SidecarFile, inbound: InboundFile, warn: Report): void {
  if (inbound.mtls === 'permissive')
    warn(['mtls'], 'plaintext callers are let in without identity; meant for introducing a mesh only');
  if (inbound.mtls === 'off') {
    warn(['mtls'], 'callers are not authenticated, and everything is readable on the way');
    warnOfNamedCallers(inbound, warn);
  }
  if (!isLocalAddress(inbound.local))
    warn(['local'], `${writeAddress(inbound.local)} is not on this machine; the way there is plaintext`);
  const isOpen =
    consul?.intentions === true ||
    inbound.default_intention === 'allow' ||
    inbound.intentions?.some(
      ({ from, to, action }) =>
        action === 'allow' && (to === service || to === '*') && (from === '*' || inbound.mtls !== 'off'),
    );
  for (const [i, { to }] of (inbound.intentions ?? []).entries())
    if (to !== '*' && to !== service)
      warn(
        ['intentions', i, 'to'],
        `this file is of ${service} alone, so that what is about "${to}" has no effect`,
      );
  if (!isOpen) warn(['intentions'], `no intention allows calls to ${service}`);
  warnOfRoutes(inbound.routes, below(['routes'], warn));
  warnOfQueue(inbound.queue, limits.memory_budget, below(['queue'], warn));
}

/** Without TLS no caller proves a name: only `*` and the defaults are about anybody. */
function warnOfNamedCallers(
  { intentions = [], rate_limits: limits = [], queue }: InboundFile,
  warn: Report,
): void {
  const name = (path: (string | number)[], caller: string): void => {
    if (caller !== '*')
      warn(path, `with mtls off no caller has a name, so that this is about nobody, and not about ${caller}`);
  };
  for (const [i, { from }] of intentions.entries()) name(['intentions', i, 'from'], from);
  for (const [i, { callers }] of limits.entries())
    for (const [j, caller] of callers.entries()) name(['rate_limits', i, 'callers', j], caller);
  for (const [i, { callers }] of (queue.priority?.callers ?? []).entries())
    for (const [j, caller] of callers.entries())
      name(['queue', 'priority', 'callers', i, 'callers', j], caller);
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

function warnOfOpenAdmin(
  path: string[],
  address: Address | undefined,
  hasToken: boolean,
  warn: Report,
): void {
  if (address === undefined || isLocalAddress(address)) return;
  const who = `a client that reaches ${writeAddress(address)} can read`;
  warn(
    path,
    hasToken
      ? `${who} all that this sidecar shows; only changes ask for the token, which crosses the network in plaintext`
      : `${who} and drain this sidecar: there is no authentication`,
  );
}

function warnOfOpenListener(path: string[], address: Address | undefined, warn: Report): void {
  if (address === undefined || isLocalAddress(address)) return;
  warn(path, `a client that reaches ${writeAddress(address)} calls with this sidecar's identity`);
}
