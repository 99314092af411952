/**
 * Upstreams: the mesh services that the local application may call, and how.
 */

import { z } from 'zod';
import { BALANCER_KINDS } from '../../core/balancing/balancers.js';
import { isSamePlace, writeAddress } from '../codecs/address.js';
import type { Address } from '../model.js';
import { balance } from './balance.js';
import { discovery } from './discovery.js';
import { ejection } from './ejection.js';
import { breaker, health, locality, localityName, slowStart } from './endpoint-policies.js';
import { address, type Loose, list, mapping, number, text } from './loose.js';
import { block, option, type Report, withRules } from './option.js';
import { outboundRoute, refuseUnreachable } from './route.js';
import {
  choice,
  duration,
  durationOrNone,
  listenAddress,
  peerAddress,
  plainText,
  ratio,
  rational,
  wholeNumber,
} from './values.js';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

const weight = option(rational({ min: 0, max: 1_000_000 }).prefault(1), {
  meaning: 'Relative share of the traffic; 0 keeps the endpoint without new calls.',
  why: 'All endpoints are alike until someone says otherwise.',
});

const endpointBlock = block(
  {
    address: option(peerAddress(), {
      meaning: "Where the peer's sidecar listens.",
      why: 'Nobody else knows it.',
    }),
    weight,
    locality: option(localityName().optional(), {
      meaning: 'Where it is, for `locality` of the upstream.',
      otherwise: 'absent: elsewhere',
      why: 'Matters only where an upstream has a block `locality`.',
    }),
    id: option(
      plainText('a short name')
        .min(1, { error: 'a short name' })
        .max(128, { error: 'at most 128 characters' })
        .optional(),
      {
        meaning: 'The name of the endpoint in reports and metrics.',
        otherwise: 'the address',
        why: 'An address says where to look.',
      },
    ),
  },
  'an address, or a block with address, weight, locality and id',
);

const endpoint = z.union([peerAddress(), endpointBlock], {
  error: 'an address, or a block with address, weight, locality and id',
});

const pool = block(
  {
    max_endpoints: option(wholeNumber({ min: 1, max: 100_000 }).prefault(128), {
      meaning:
        'Endpoints that connections are kept to. Of more, each sidecar keeps to a part of its own, drawn at random and changed as little as endpoints come and go.',
      why: 'A hundred spread load as well as ten thousand, and cost a hundredth.',
    }),
    connections: option(wholeNumber({ min: 1, max: 64 }).prefault(1), {
      meaning: 'Connections kept to each endpoint.',
      why: 'HTTP/2 carries many calls on one; each further one costs a handshake and memory.',
    }),
    connect_timeout: option(duration({ min: 1, max: 60 * SECOND_MS }).prefault('1s'), {
      meaning: "TCP, TLS and the peer's first SETTINGS together.",
      why: 'Ten round trips across a continent.',
    }),
    ping_interval: option(duration({ min: 10, max: HOUR_MS }).prefault('10s'), {
      meaning: 'A PING is sent after this long without a frame from the peer while calls are in flight.',
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
  },
  'a block with max_endpoints, connections, connect_timeout, ping_interval, ping_timeout and max_age',
);

const budget = block(
  {
    ratio: option(ratio().prefault(0.2), {
      meaning: 'Extra attempts allowed, as a share of the calls.',
      why: 'When everything fails, load grows by a fifth and not by a factor.',
    }),
    per_second: option(rational({ min: 0, max: 10_000 }).prefault(3), {
      meaning: 'Extra attempts allowed per second besides.',
      why: 'Lets an upstream with little traffic retry at all.',
    }),
  },
  'a block with ratio and per_second',
);

/** What an upstream says in both kinds of file; endpoints only stand in a sidecar file. */
const common = {
  consul: option(discovery.optional(), {
    meaning: 'Which instances Consul is asked for. Needs the block `consul` at the top.',
    otherwise: 'with a block `consul` at the top and no endpoints here: the service of this name',
    why: 'Usually the name is all there is to say.',
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
  health,
  breaker,
  slow_start: slowStart,
  locality,
  ejection: option(ejection.prefault({}), {
    meaning:
      'When an endpoint is taken out, and for how long. Never more than half of them, and never the last one.',
    why: 'On unless set to observe.',
  }),
  pool: option(pool.prefault({}), {
    meaning: 'The connections to each endpoint.',
    why: 'Opened before they are needed.',
  }),
  budget: option(budget.prefault({}), {
    meaning: 'Bound on extra attempts of all routes together.',
    why: 'Keeps retries from turning a fault into an outage.',
  }),
  routes: option(z.array(outboundRoute, { error: 'a list of routes' }).prefault([]), {
    meaning: 'What may be done with which method. What no route names gets the defaults.',
    why: 'Without routes nothing is tried twice.',
  }),
};

/** In a mesh file: `outrider up` knows the endpoints. */
export const meshUpstream = withRules(
  block(common, 'a block that says how to call this service'),
  refuseBadRoutes,
);

/** In a sidecar file. */
export const sidecarUpstream = withRules(
  block(
    {
      ...common,
      endpoints: option(
        z
          .array(endpoint, { error: 'a list of endpoints' })
          .min(1, { error: 'at least one endpoint' })
          .optional(),
        {
          meaning:
            'The instances of the upstream, each an address or a block with address, weight, locality and id.',
          otherwise: 'with a block `consul` at the top: what Consul says; else required',
          why: 'Without an endpoint every call would fail.',
        },
      ),
    },
    'a block that says how to call this service',
  ),
  (found, report) => {
    refuseBadRoutes(found, report);
    checkEndpoints(found['endpoints'], report);
  },
);

function refuseBadRoutes(found: Loose, report: Report): void {
  refuseUnreachable(found['routes'], (path, message) => report(['routes', ...path], message));
}

interface SeenEndpoint {
  readonly at: number;
  readonly address: Address;
  readonly id: string;
}

function checkEndpoints(found: unknown, report: Report): void {
  const seen: SeenEndpoint[] = [];
  const weights: (number | undefined)[] = [];
  for (const [at, item] of list(found).entries()) {
    const where = address(item) ?? address(mapping(item)['address']);
    weights.push(address(item) === undefined ? number(mapping(item)['weight']) : 1);
    if (where === undefined) continue;
    const id = text(mapping(item)['id']) ?? writeAddress(where);
    const twin = seen.find((other) => isSamePlace(other.address, where));
    const namesake = seen.find((other) => other.id === id);
    if (twin !== undefined)
      report(
        ['endpoints', at],
        `found ${writeAddress(where)} again, as in endpoints[${twin.at}]; expected each once`,
      );
    else if (namesake !== undefined)
      report(
        ['endpoints', at, 'id'],
        `found "${id}" again, as in endpoints[${namesake.at}]; expected each once`,
      );
    seen.push({ at, address: where, id });
  }
  if (weights.length > 0 && weights.every((share) => share === 0)) {
    report(
      ['endpoints'],
      'found only weights of 0; expected at least one above, or no call could go anywhere',
    );
  }
}
