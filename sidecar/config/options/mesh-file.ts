/**
 * The whole of a mesh file, and the rules between its parts.
 */
import * as z from 'zod';
import { faultInjection, meshAccessLog } from './access-log.js';
import { meshAudit } from './audit.js';
import { meshConsul } from './consul/consul.js';
import { meshConsulRules } from './consul/rules.js';
import { refuseModelIntentions, upstreamEngineRules } from './engine.js';
import { address, entries, type FoundBlock, mapping, text } from './found.js';
import { limits } from './limits.js';
import { callListeners, listeners, refuseSharedPlaces } from './listener-conflicts.js';
import { requireKnownNames } from './mesh/known-names.js';
import { observeListeners, replicaListeners } from './mesh/listeners.js';
import { service } from './mesh/service.js';
import { meshMetrics } from './metrics.js';
import { blockAs, option, type Report, rules } from './option.js';
import { requireScaled, scaler } from './scaler.js';
import {
  admin,
  adminTokenFile,
  datacenter,
  defaultIntention,
  drainTimeout,
  intentions,
  log,
  meshObserve,
  meshStateDir,
  trustDomain,
} from './shared.js';
import { meshTraces } from './traces.js';
import { meshUpstream } from './upstream/upstream.js';
import { sharedListener, upstreamsOf, upstreamsRules } from './upstream/upstreams.js';
import { duration, filePath, name } from './values.js';

/** `caller`: the application's side of a mesh. */
export const caller = blockAs('a block with name and upstreams', {
  name: option(name('the name of the caller'), {
    meaning: 'The mesh service that the application calls as.',
    why: 'Intentions need a name.',
  }),
  upstreams: upstreamsOf(meshUpstream),
  shared: sharedListener,
  scaler,
  admin,
}).check(
  rules((found, report) => {
    upstreamsRules(found, report);
    requireScaled(found['scaler'], found['upstreams'], report);
    if (address(found['admin'])?.kind === 'unix')
      report(
        ['admin'],
        'found a socket; expected an address such as "127.0.0.1:8890", as a browser opens it',
      );
  }),
);

/** A mesh file: the schema that `outrider up FILE` reads by. */
export const meshFile = blockAs('a mesh file', {
  trust_domain: trustDomain,
  datacenter,
  services: option(
    z.record(name('the name of a service'), service, { error: 'a map of services by their names' }),
    {
      meaning: 'The model services that run on this machine, by name.',
      why: 'Without a service there is nothing to run.',
    },
  ),
  consul: option(meshConsul.optional(), {
    meaning:
      'Present: sidecars find each other, get their certificates and read the intentions through a Consul agent. `{}` is enough for an agent on this machine; `outrider up --consul dev` brings one along.',
    otherwise: 'absent: this file and a certificate authority of its own',
    why: 'One machine needs no registry.',
  }),
  caller: option(caller.optional(), {
    meaning: "The application's side: one sidecar with a listener for each service it calls.",
    otherwise:
      'absent: `client`, with a listener for each service of the file at 127.0.0.1:8800, 8801, … and admin pages at 8890, as far as those ports are free; `up` prints where',
    why: 'A mesh file needs no more than `services`.',
  }),
  admin_token_file: adminTokenFile,
  observe: meshObserve,
  intentions,
  default_intention: defaultIntention,
  leaf_lifetime: option(duration({ min: 10_000, max: 8_760 * 3_600_000 }).optional(), {
    meaning: 'How long each minted certificate is valid; it is replaced well before.',
    otherwise: '`1h`; with certificates from Consul, what its cluster says',
    why: 'Short enough that a stolen key is soon worth nothing.',
  }),
  limits: option(limits.prefault({}), {
    meaning: 'Bounds against hostile or broken peers, for every sidecar of the mesh.',
    why: 'On, with room for ordinary use.',
  }),
  drain_timeout: drainTimeout,
  state_dir: meshStateDir,
  log,
  access_log: meshAccessLog,
  traces: meshTraces,
  metrics: meshMetrics,
  audit: meshAudit,
  fault_injection: faultInjection,
  run_dir: option(filePath('a directory').optional(), {
    meaning: 'Where sockets, certificates and sidecar files go; made private (0700).',
    otherwise: 'a fresh directory, removed at the end',
    why: 'Leaves nothing behind.',
  }),
}).check(rules(meshRules));

function meshRules(found: FoundBlock, report: Report): void {
  const file = found;
  const services = entries(file['services']);
  const callerBlock = mapping(file['caller']);
  if (file['services'] !== undefined && services.length === 0)
    report(['services'], 'found none; expected at least one service');
  const names = services.map(([serviceName]) => serviceName);
  const callerName = text(callerBlock['name']);
  if (callerName !== undefined && names.includes(callerName))
    report(['caller', 'name'], `found "${callerName}", which is also a service; expected a name of its own`);
  requireKnownNames(file, services, report);
  const engineOf = (name: string): unknown => mapping(mapping(file['services'])[name])['engine'];
  upstreamEngineRules(callerBlock['upstreams'], ['caller', 'upstreams'], report, engineOf);
  for (const [name, { upstreams }] of services)
    upstreamEngineRules(upstreams, ['services', name, 'upstreams'], report, engineOf);
  const isEngine = (name: string): boolean => engineOf(name) !== undefined;
  const areEngines = names.length > 0 && names.every(isEngine);
  refuseModelIntentions(file['intentions'], (name) => isEngine(name) || (name === '*' && areEngines), report);
  const own = [
    ...listeners(
      [['caller', 'admin'], callerBlock['admin']],
      [['caller', 'scaler', 'listen'], mapping(callerBlock['scaler'])['listen']],
    ),
    ...callListeners(['caller'], callerBlock),
    ...services.flatMap(([serviceName, block]) => callListeners(['services', serviceName], block)),
    ...services.flatMap(([serviceName, block]) => replicaListeners(serviceName, block, report)),
    ...observeListeners(address(file['observe']), services, report),
  ];
  refuseSharedPlaces(own, report);
  meshConsulRules(file, own, report);
}
