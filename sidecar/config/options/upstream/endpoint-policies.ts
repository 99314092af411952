/**
 * What else an upstream may say about its endpoints: whether they are asked how they are, how much they take, how they
 * begin, and which of them are near.
 */
import { writeDuration } from '../../codecs/duration.js';
import { text } from '../found.js';
import { block, blockAs, inCode, option, rules } from '../option.js';
import {
  atMost,
  choice,
  duration,
  plainText,
  ratio,
  rational,
  shortText,
  wholeNumber,
  wholeNumberOrNone,
} from '../values.js';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

/** Where an endpoint or a sidecar is. */
export const localityName = () => shortText('the name of a place, such as a datacenter or a zone');

const activeHealth = blockAs('a block such as { kind: grpc }', {
  kind: option(choice(['grpc', 'ping', 'tcp']).prefault('grpc'), {
    meaning:
      "`grpc`: grpc.health.v1, which the peer's sidecar answers for its model. `ping`: an HTTP/2 PING, which proves the sidecar only. `tcp`: a connection is made.",
    why: 'The only one that says something about the model.',
  }),
  service: option(
    inCode(
      plainText('the name of a model').max(256, { error: 'at most 256 characters' }).optional(),
      (said) => said ?? '',
      (config) => config || undefined,
    ),
    {
      meaning: "With `grpc`: the service that is asked for, which is a model's name.",
      otherwise: 'empty: the server as a whole',
      why: 'Most services have one model.',
    },
  ),
  interval: option(duration({ min: 100, max: HOUR_MS }).prefault('5s'), {
    meaning: 'Time between two checks of an endpoint, ± 10 %.',
    why: 'Three of them fit into the default deadline.',
  }),
  timeout: option(duration({ min: 10, max: 60 * SECOND_MS }).optional(), {
    meaning:
      'An answer that takes longer counts as a failed check. A value that is set here is at most `interval`.',
    otherwise:
      '1s, or `interval` if that is shorter; with `grpc` three times the p99 of the calls that succeeded in the last 30 s to 60 s (for streams, of the time to the first message) if that is longer, at most 60s. If it is longer than `interval`, the next check is later',
    why: 'Health answers wait behind the work of the model: a busy model is not unhealthy.',
  }),
  unhealthy_threshold: option(wholeNumber({ min: 1, max: 100 }).prefault(2), {
    meaning: 'Failed checks in a row after which an endpoint gets no traffic.',
    why: 'One lost answer is not enough to decide.',
  }),
  healthy_threshold: option(wholeNumber({ min: 1, max: 100 }).prefault(1), {
    meaning: 'Passed checks in a row after which it gets traffic again.',
    why: 'An endpoint that answers can serve.',
  }),
}).check(
  rules(atMost('timeout', 'interval', writeDuration), (found, report) => {
    const kind = text(found['kind']);
    if (found['service'] !== undefined && (kind === 'ping' || kind === 'tcp'))
      report(['service'], `found with ${kind}, which asks for no service; expected "kind: grpc"`);
  }),
);

/** `health`: active checks, as Envoy's `health_checks`; off unless the block is there. */
export const health = option(activeHealth.optional(), {
  meaning:
    'Present: each endpoint is checked at intervals by one prober, whether calls go there or not. `{}` takes all defaults.',
  otherwise: 'absent: an endpoint counts as healthy while it is connected and not ejected',
  why: 'Where there are calls, they show more than checks do.',
});

/** `breaker`: Envoy's `circuit_breakers`. 0 in code is `none` in a file: no bound. */
export const breaker = option(
  block({
    max_connections: option(wholeNumberOrNone({ min: 1, max: 1_000_000 }).prefault('none'), {
      meaning: 'Connections to all its endpoints together.',
      why: '`pool.connections` and `pool.max_endpoints` bound them already.',
    }),
    max_pending: option(wholeNumberOrNone({ min: 1, max: 1_000_000 }).prefault(128), {
      meaning: 'Calls that wait for a connection, or for the registry.',
      why: 'As many as may wait before a model.',
    }),
    max_in_flight: option(wholeNumberOrNone({ min: 1, max: 1_000_000 }).prefault(1_024), {
      meaning: 'Calls under way at once.',
      why: "Envoy's own default: far above ordinary use, far below what exhausts a process.",
    }),
    max_retries: option(wholeNumberOrNone({ min: 1, max: 1_000_000 }).prefault(64), {
      meaning: 'Attempts beyond the first of their call, under way at once. One more is not made.',
      why: "The budget bounds their share; this bounds their number when all calls hang. Envoy's 3 is known to be too few.",
    }),
  }).optional(),
  {
    meaning:
      'Present: bounds on what this upstream may take; a call over them is refused at once with RESOURCE_EXHAUSTED.',
    otherwise: 'absent: no bounds but those of the connections',
    why: 'How much an upstream can take depends on the upstream.',
  },
);

/** `slow_start`: Envoy's `slow_start_config`, ended by measured latency and not by time alone. */
export const slowStart = option(
  block({
    min_ratio: option(ratio({ min: 0.01, max: 1 }).prefault(0.1), {
      meaning: "Share of a full endpoint's traffic that a new one begins with.",
      why: 'Enough calls to warm up with, and too few to be noticed.',
    }),
    converged_factor: option(rational({ min: 1, max: 10 }).prefault(1.5), {
      meaning: 'It has begun when its latency is within this factor of that of its peers.',
      why: 'Equal machines differ by less.',
    }),
    min_calls: option(wholeNumber({ min: 1, max: 10_000 }).prefault(20), {
      meaning: 'Calls before its latency is believed.',
      why: 'A median of fewer moves with single calls.',
    }),
    max: option(duration({ min: 100, max: HOUR_MS }).prefault('1m'), {
      meaning: 'After this time it has begun in any case.',
      why: 'An endpoint without peers has nothing to be compared with.',
    }),
  }).optional(),
  {
    meaning:
      'Present: an endpoint that is new or comes back gets a growing share of the calls until it is as fast as its peers. `{}` takes all defaults.',
    otherwise: 'absent: it gets its share at once',
    why: '`least-loaded` steers around what is slow already; models that warm up with real calls need this.',
  },
);

/** `locality`: Envoy's zone-aware routing, by the share of endpoints that may receive traffic. What Consul has is in consul/locality.ts. */
export const locality = option(
  block({
    own: option(localityName().optional(), {
      meaning:
        'The place of this sidecar, a name or `REGION/ZONE`. Endpoints with the same `locality` go first, then those of the same region.',
      otherwise:
        'with a block `consul` at the top: what Consul has of this instance or its node (`consul.locality`), and all endpoints are alike until that is known; else required',
      why: 'Without it no endpoint would be near.',
    }),
    spill_below: option(ratio({ min: 0, max: 1 }).prefault(0.7), {
      meaning:
        'If less than this share of the endpoints at this place can take calls, those of the region are used too, then the others. Each place takes its healthy share divided by this number; the rest goes on to the next.',
      why: 'The rest would have to take half as much again; it is the overprovisioning factor 1.4 of Envoy.',
    }),
  }).optional(),
  {
    meaning: 'Present: endpoints at the same place are preferred while enough of them are healthy.',
    otherwise: 'absent: all are alike',
    why: 'Within one datacenter the way to an endpoint costs nothing.',
  },
);
