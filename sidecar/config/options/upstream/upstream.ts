/**
 * Upstreams: the mesh services that the local application may call, and how.
 */

import { BALANCER_KINDS } from '../../../core/balancing/balancers.js';
import { DEFAULT_MAX_ENDPOINTS } from '../../defaults.js';
import type { PlainOf } from '../../names.js';
import { present } from '../../present.js';
import { discovery, targetsOf } from '../consul/discovery.js';
import { upstreamEngine } from '../engine.js';
import { loadReports } from '../load-reports.js';
import { block, blockAs, inCode, inside, option, rules } from '../option.js';
import { outboundRoutes, routeListRules } from '../route/route-list.js';
import { choice, duration, durationOrNone, listenAddress, ratio, rational, wholeNumber } from '../values.js';
import { balance } from './balance.js';
import { coldStart } from './cold-start.js';
import { dns } from './dns.js';
import { ejection } from './ejection.js';
import { breaker, health, locality, slowStart } from './endpoint-policies.js';
import { endpoints, refuseBadEndpoints } from './endpoints.js';
import { foresight } from './foresight.js';
import { kubernetes } from './kubernetes.js';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

const pool = block({
  max_endpoints: option(
    inCode(
      wholeNumber({ min: 1, max: 100_000 }).prefault(DEFAULT_MAX_ENDPOINTS),
      (said): number | undefined => said,
      (config) => config ?? DEFAULT_MAX_ENDPOINTS,
    ),
    {
      meaning:
        'How many endpoints a sidecar connects to. If there are more, each sidecar picks its own part at random, and keeps to it as far as possible when endpoints come and go.',
      why: 'A hundred spread load as well as ten thousand, and cost a hundredth.',
    },
  ),
  connections: option(wholeNumber({ min: 1, max: 64 }).prefault(1), {
    meaning: 'Connections kept to each endpoint.',
    why: 'HTTP/2 carries many calls on one; each further one costs a handshake and memory.',
  }),
  connect_timeout: option(duration({ min: 1, max: 60 * SECOND_MS }).prefault('1s'), {
    meaning: "TCP, TLS and the peer's first SETTINGS together.",
    why: 'Ten round trips across a continent.',
  }),
  ping_interval: option(duration({ min: 10, max: HOUR_MS }).prefault('10s'), {
    meaning:
      'A PING is sent after this long without a frame from the peer while calls are in flight. A sidecar also gets one at once if a call got no answer in time and nothing has come since it began. A service outside the mesh gets two in one silence, then one in 330 s, because gRPC servers end connections for more.',
    why: 'Finds a dead peer within a default deadline.',
  }),
  ping_timeout: option(duration({ min: 10, max: 60 * SECOND_MS }).prefault('5s'), {
    meaning: 'A connection whose PING has no answer for this long is closed.',
    why: 'A living peer answers in one round trip, even a busy one within its turn.',
  }),
  max_age: option(durationOrNone({ min: 1 * SECOND_MS, max: 720 * HOUR_MS }).prefault('1h'), {
    meaning: 'A connection is replaced at this age ± 10 %, the new one before the old.',
    why: 'As long as a certificate lives, so that a withdrawn one does not live on in a connection.',
  }),
});

const budget = block({
  ratio: option(ratio().prefault(0.2), {
    meaning:
      'Extra attempts allowed, as a share of the calls of the last ten seconds. A `resumable` stream that goes on at another endpoint counts as one more call for each second that it was open at the one before, and pays for one attempt at most.',
    why: 'When everything fails, load grows by a fifth and not by a factor.',
  }),
  per_second: option(rational({ min: 0, max: 10_000 }).prefault(3), {
    meaning: 'Extra attempts allowed per second besides.',
    why: 'Lets an upstream with little traffic retry at all.',
  }),
});

/** What an upstream says in both kinds of file; endpoints only stand in a sidecar file. */
const common = {
  consul: option(discovery.optional(), {
    meaning: 'Which instances Consul is asked for. Needs the block `consul` at the top.',
    otherwise: 'with a block `consul` at the top and no endpoints here: the service of this name',
    why: 'Usually the name is enough.',
  }),
  listen: option(listenAddress().optional(), {
    meaning: 'Where the application calls this upstream, in plaintext.',
    otherwise: 'absent: only through the shared listener',
    why: 'One listener per upstream works with every client unchanged.',
  }),
  tls: option(choice(['mesh', 'plaintext']).prefault('mesh'), {
    meaning:
      '`mesh`: mutual TLS, and the peer has to prove that it is this service. `plaintext`: for services outside the mesh.',
    why: 'Nothing leaves in the clear by accident.',
  }),
  balance: option(balance.prefault({ kind: BALANCER_KINDS[0] }), {
    meaning: 'How the endpoint of an attempt is chosen.',
    why: '`least-loaded` steers around a slow replica before anything has failed.',
  }),
  engine: upstreamEngine,
  load_reports: loadReports,
  health,
  breaker,
  slow_start: slowStart,
  cold_start: coldStart,
  locality,
  ejection: option(ejection.prefault({}), {
    meaning:
      'When an endpoint is taken out, and for how long. Never more than half of them, and never the last one.',
    why: 'On unless set to observe.',
  }),
  foresight,
  pool: option(pool.prefault({}), {
    meaning: 'The connections to each endpoint.',
    why: 'Opened before they are needed.',
  }),
  budget: option(budget.prefault({}), {
    meaning: 'Bound on extra attempts of all routes together.',
    why: 'Keeps retries from turning a fault into an outage.',
  }),
  routes: option(outboundRoutes(), {
    meaning: 'Policies by method. Methods that no route names get the defaults.',
    why: 'Without routes nothing is tried twice.',
  }),
};

const refuseBadRoutes = inside('routes', routeListRules);

const meshUpstreamBlock = blockAs('a block that says how to call this service', common).check(
  rules(refuseBadRoutes),
);

/** What an upstream inherits from its name: the service that Consul is asked for, and where its calls go by default. */
function named(said: PlainOf<typeof meshUpstreamBlock>, upstream: string) {
  const { consul, ...rest } = said;
  const routes: typeof said.routes = said.routes.map((route) =>
    route.split === undefined ? route : { ...route, split: splitOf(upstream, route.split) },
  );
  return { ...rest, name: upstream, ...present('consul', consul && targetsOf(upstream, consul)), routes };
}

function splitOf<S extends { readonly weights: Readonly<Record<string, number>> }>(
  upstream: string,
  split: S,
): S {
  return Object.keys(split.weights).length > 0 ? split : { ...split, weights: { [upstream]: 1 } };
}

/** In a mesh file: `outrider up` knows the endpoints. */
export const meshUpstream = inCode(meshUpstreamBlock, named);

/** In a sidecar file. */
export const sidecarUpstream = inCode(
  blockAs('a block that says how to call this service', {
    ...common,
    endpoints,
    dns: option(dns.optional(), {
      meaning:
        'Every address of a DNS name is an endpoint, and changes are followed, as for a headless service of Kubernetes.',
      otherwise: 'absent: endpoints come from `endpoints`, `kubernetes` or Consul',
      why: 'A name in `endpoints` is one endpoint, whatever it resolves to.',
    }),
    kubernetes: option(kubernetes.optional(), {
      meaning:
        'The pods of a Service of Kubernetes are the endpoints, by its API, which is watched: changes are known within a second.',
      otherwise: 'absent: endpoints come from `endpoints`, `dns` or Consul',
      why: 'DNS tells of new pods late, and not which pods end.',
    }),
  }).check(rules(refuseBadRoutes, inside('endpoints', refuseBadEndpoints))),
  (said, upstream) => ({
    ...named(said, upstream),
    endpoints: said.endpoints,
    ...present('dns', said.dns),
    ...present('kubernetes', said.kubernetes),
  }),
);
