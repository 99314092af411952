/** The endpoints of an upstream that a file lists. */
import * as z from 'zod';
import {
  ADDRESS_EXPECTED,
  ADDRESS_PATTERN,
  type Address,
  isSamePlace,
  writeAddress,
} from '../../codecs/address.js';
import { ok, type Parsed } from '../../codecs/parse-result.js';
import { present } from '../../present.js';
import { address, list, mapping, number, text } from '../found.js';
import { blockAs, inCode, option, type Report, value } from '../option.js';
import { codec, listOf, modelName, peerAddress, rational, readPeer, shortText } from '../values.js';
import { localityName } from './endpoint-policies.js';

const weight = option(rational({ min: 0, max: 1_000_000 }).prefault(1), {
  meaning: 'Relative share of the traffic; 0 keeps the endpoint without new calls.',
  why: 'All endpoints get the same share.',
});

const endpointBlock = blockAs(
  'an address, or a block with address, weight, locality, models, versions and id',
  {
    address: option(peerAddress(), {
      meaning: "Where the peer's sidecar listens.",
      why: 'Without it there is nothing to connect to.',
    }),
    weight,
    locality: option(localityName().optional(), {
      meaning: 'Where it is, for `locality` of the upstream.',
      otherwise: 'absent: elsewhere',
      why: 'Matters only where an upstream has a block `locality`.',
    }),
    models: option(listOf(modelName(), 'models', 256).min(1, { error: 'at least one model' }).optional(), {
      meaning:
        'The models that it has. Calls that name a model go to the endpoints that have it, as long as one of them can take calls. If no endpoint has the model, they go to any.',
      otherwise: 'absent: it may have any',
      why: 'Most services have the same models at every endpoint.',
    }),
    versions: option(
      z
        .record(modelName(), listOf(shortText('a version'), 'versions', 64), {
          error: 'a map of lists of versions by model',
        })
        .optional(),
      {
        meaning:
          'The versions that it has of its models. Calls that name a version go to the endpoints that have it, as long as one of them can take calls. If no endpoint has the version, they go to any that has the model.',
        otherwise: 'absent, and for models that are not in it: it may have any version',
        why: 'Most replicas have the same versions, and most calls name none.',
      },
    ),
    id: option(shortText('a short name').optional(), {
      meaning: 'The name of the endpoint in reports and metrics.',
      otherwise: 'the address',
      why: 'An address says where to look.',
    }),
  },
);

/** An address alone is a block with nothing but that. */
const endpointAddress = value(
  codec(
    ADDRESS_EXPECTED,
    ADDRESS_PATTERN,
    (text): Parsed<z.output<typeof endpointBlock>> => {
      const read = readPeer(text);
      return read.ok ? ok({ address: read.value, weight: 1 }) : read;
    },
    ({ address: alone }) => writeAddress(alone),
    ({ locality: place, id, models, versions }) =>
      [place, id, models, versions].every((said) => said === undefined),
  ),
  { type: 'address' },
);

/** An endpoint as a file says it, and what a registry knows of one beyond that. */
export interface EndpointConfig {
  readonly address: Address;
  /** Relative share of traffic, ≥ 0. */
  readonly weight: number;
  /** Where it is, for `locality` of the upstream. Absent: elsewhere. */
  readonly locality?: string;
  /** Name in reports; by default the address. */
  readonly id: string;
  /** The mesh service its SPIFFE id must name, and its datacenter. Absent: the upstream's name; any datacenter. */
  readonly service?: string;
  readonly datacenter?: string;
  /** First part of the SNI in Consul's form, where a subset is named. */
  readonly subset?: string;
  /** Lower goes first; higher ones get traffic only while none before them is eligible. Absent: 0. */
  readonly priority?: number;
  /** The models that it has. Absent: it may have any. */
  readonly models?: readonly string[];
  /** The versions that it has, by model. Absent, and for models that are not in it: it may have any. */
  readonly versions?: Readonly<Record<string, readonly string[]>>;
  /** Why the registry counsels against it, in one sentence. Absent: it does not. */
  readonly critical?: string;
  /** It ends, as the registry says: it is no replica any more, though it may still answer. Absent: not known. */
  readonly isEnding?: boolean;
  /** The registry shows that its proxy is no Outrider. Absent: it is one, or that is not known. */
  readonly isForeign?: boolean;
  /** It belongs to failover targets alone, so that it is no replica of the service itself. */
  readonly isFailover?: boolean;
}

const endpoint = inCode(
  z.union([endpointAddress, endpointBlock], {
    error: 'an address, or a block with address, weight, locality, models, versions and id',
  }),
  ({ address, weight, locality, models, versions, id = writeAddress(address) }): EndpointConfig => ({
    address,
    weight,
    ...present('locality', locality),
    ...present('models', models),
    ...present('versions', versions),
    id,
  }),
);

/** `endpoints`; in code an empty list where a registry finds them. */
export const endpoints = option(
  inCode(
    listOf(endpoint, 'endpoints').min(1, { error: 'at least one endpoint' }).optional(),
    (said) => said ?? [],
    (config) => (config.length === 0 ? undefined : config),
  ),
  {
    meaning:
      'The instances of the upstream, each an address or a block with address, weight, locality, models, versions and id.',
    otherwise:
      'with `dns`: the addresses of its name; with `kubernetes`: the pods of its Service; with a block `consul` at the top: what Consul says; else required',
    why: 'Without an endpoint every call would fail.',
  },
);

interface SeenEndpoint {
  readonly at: number;
  readonly address: Address;
  readonly id: string;
}

/** Reports an address or a name that stands twice, and endpoints none of which gets a call. */
export function refuseBadEndpoints(found: unknown, report: Report): void {
  const seen: SeenEndpoint[] = [];
  const weights: (number | undefined)[] = [];
  for (const [at, item] of list(found).entries()) {
    const where = address(mapping(item)['address']);
    weights.push(number(mapping(item)['weight']));
    if (where === undefined) continue;
    const id = text(mapping(item)['id']) ?? writeAddress(where);
    const twin = seen.find((other) => isSamePlace(other.address, where));
    const namesake = seen.find((other) => other.id === id);
    if (twin !== undefined)
      report([at], `found ${writeAddress(where)} again, as in endpoints[${twin.at}]; expected each once`);
    else if (namesake !== undefined)
      report([at, 'id'], `found "${id}" again, as in endpoints[${namesake.at}]; expected each once`);
    seen.push({ at, address: where, id });
  }
  if (weights.length > 0 && weights.every((share) => share === 0))
    report([], 'found only weights of 0; expected at least one above, or no call could go anywhere');
}
