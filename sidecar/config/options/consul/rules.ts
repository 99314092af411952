/**
 * Rules between the block `consul` and the rest of a file: each thing is said in one place only, so that nothing in
 * the file is without effect.
 */
import { agentPlace } from '../../codecs/agent-url.js';
import { address, entries, type FoundBlock, list, mapping, text } from '../found.js';
import { type Listener, refuseCallingItself } from '../listener-conflicts.js';
import { below, type Report } from '../option.js';
import { refuseRepeatedTargets } from './discovery.js';

/** For a whole sidecar file. */
export function sidecarConsulRules(file: FoundBlock, own: readonly Listener[], report: Report): void {
  const { consul } = file;
  checkFailover(['outbound', 'upstreams'], mapping(file['outbound'])['upstreams'], report);
  requireTargets(['outbound', 'upstreams'], mapping(file['outbound'])['upstreams'], consul, report);
  requireOwnPlaces(['outbound', 'upstreams'], mapping(file['outbound'])['upstreams'], consul, report);
  if (consul === undefined) return;
  refuseCallingItself(own, ['consul', 'address'], placeOf(consul), report);
  refuseSocket(file, report);
  if (file['identity'] === undefined) {
    const why = 'an identity from Consul, whose cluster says it';
    refuseSaid(file, ['trust_domain', 'datacenter'], why, report);
  }
  if (mapping(consul)['intentions'] === true) {
    const inbound = mapping(file['inbound']);
    for (const key of ['intentions', 'default_intention']) {
      if (inbound[key] === undefined) continue;
      report(
        ['inbound', key],
        'found beside intentions from Consul; expected only one of them: leave this out, or set consul.intentions to false to let this file decide',
      );
    }
  }
}

/** For a whole mesh file. `outrider up` writes its intentions into a Consul of its own, so they may stand beside. */
export function meshConsulRules(file: FoundBlock, own: readonly Listener[], report: Report): void {
  const { consul } = file;
  meshTargets(['caller'], mapping(file['caller']), consul, report);
  for (const [service, block] of entries(file['services']))
    meshTargets(['services', service], block, consul, report);
  if (consul === undefined) return;
  refuseCallingItself(own, ['consul', 'address'], placeOf(consul), report);
  if (mapping(consul)['intentions'] === true) refuseModels(file, report);
  const why = 'certificates from Consul, whose cluster says it';
  refuseSaid(file, ['trust_domain', 'datacenter', 'leaf_lifetime'], why, report);
}

/** Consul has no permission by model: as an intention there it would allow all of them. Methods are in its permissions. */
function refuseModels(file: FoundBlock, report: Report): void {
  for (const [i, intention] of list(file['intentions']).entries())
    for (const key of ['models', 'control_methods']) {
      if (mapping(intention)[key] === undefined) continue;
      report(
        ['intentions', i, key],
        'found with intentions from Consul, which cannot say it; expected consul.intentions: false, with which this file decides',
      );
    }
}

function meshTargets(above: string[], block: FoundBlock, consul: unknown, report: Report): void {
  const { upstreams } = block;
  checkFailover([...above, 'upstreams'], upstreams, report);
  requireOwnPlaces([...above, 'upstreams'], upstreams, consul, report);
  for (const [upstream, said] of entries(upstreams)) {
    if (said['consul'] !== undefined && consul === undefined)
      report([...above, 'upstreams', upstream, 'consul'], NO_AGENT);
  }
}

function checkFailover(above: (string | number)[], upstreams: unknown, report: Report): void {
  for (const [upstream, said] of entries(upstreams)) {
    const at = below([...above, upstream, 'consul'], report);
    refuseRepeatedTargets(upstream, mapping(said['consul']), at);
  }
}

const NO_AGENT =
  'found without a block consul at the top, which says where the agent is; expected both or neither';

/** Only an agent knows where a machine is that the file does not place. */
function requireOwnPlaces(
  above: (string | number)[],
  upstreams: unknown,
  consul: unknown,
  report: Report,
): void {
  if (consul !== undefined) return;
  for (const [upstream, { locality }] of entries(upstreams)) {
    if (locality === undefined || mapping(locality)['own'] !== undefined) continue;
    report(
      [...above, upstream, 'locality', 'own'],
      'missing; expected the name of a place, or a block consul at the top, whose agent knows it',
    );
  }
}

/** Each upstream has one source of endpoints. */
function requireTargets(
  above: (string | number)[],
  upstreams: unknown,
  consul: unknown,
  report: Report,
): void {
  for (const [upstream, said] of entries(upstreams)) {
    const at = [...above, upstream];
    const { endpoints, dns, kubernetes, consul: discovery } = said;
    const other = endpoints === undefined ? 'consul' : 'endpoints';
    if (kubernetes !== undefined && [endpoints, dns, discovery].some((source) => source !== undefined))
      report(
        [...at, 'kubernetes'],
        `found beside ${dns === undefined ? other : 'dns'}; expected only one of them`,
      );
    else if (dns !== undefined && (endpoints !== undefined || discovery !== undefined))
      report([...at, 'dns'], `found beside ${other}; expected only one of them`);
    else if (endpoints !== undefined && discovery !== undefined)
      report([...at, 'consul'], 'found beside endpoints; expected only one of them');
    else if (discovery !== undefined && consul === undefined) report([...at, 'consul'], NO_AGENT);
    else if ([endpoints, dns, kubernetes, discovery, consul].every((source) => source === undefined))
      report([...at, 'endpoints'], 'missing; expected at least one endpoint, or a block consul at the top');
  }
}

function refuseSaid(found: FoundBlock, keys: readonly string[], beside: string, report: Report): void {
  for (const key of keys) {
    if (found[key] !== undefined) report([key], `found with ${beside}; expected this to be left out`);
  }
}

/** A registration is a host and a port. */
function refuseSocket(file: FoundBlock, report: Report): void {
  const { registration, adopt } = mapping(file['consul']);
  const { listen } = mapping(file['inbound']);
  if (registration === 'none' || adopt !== undefined || address(listen)?.kind !== 'unix') return;
  report(
    ['inbound', 'listen'],
    'found a socket, which Consul cannot tell peers of; expected a host and port, or consul.registration none',
  );
}

function placeOf(consul: unknown) {
  const url = text(mapping(consul)['address']);
  return url === undefined ? undefined : agentPlace(url);
}
