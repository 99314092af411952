/**
 * The block `consul`: how the agent is reached, what is read from it, how this instance is registered, and what
 * outlives the process.
 */
import * as z from 'zod';
import { fromFile } from '../../names-codec.js';
import { type FoundBlock, mapping, text } from '../found.js';
import { block, blockAs, inCode, option, type Report, rules } from '../option.js';
import { choice, duration, filePath, plainText, size, wholeNumber, yesOrNo } from '../values.js';
import { adopt } from './adopt.js';
import { placeKeys } from './locality.js';
import { agentUrl, ownMeta, reachableHost, tagList } from './values.js';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const KIB = 1_024;
const GIB = 1_073_741_824;

const tls = block({
  ca: option(filePath('the certificates of an authority').optional(), {
    meaning: "PEM file with the roots that the agent's certificate is verified against.",
    otherwise: "`CONSUL_CACERT`, `CONSUL_CAPATH`, else the machine's own roots",
    why: 'What the `consul` command does.',
  }),
  cert: option(filePath('a certificate').optional(), {
    meaning: 'PEM file with the certificate shown to the agent.',
    otherwise: '`CONSUL_CLIENT_CERT`, else none',
    why: 'Needed only where the agent verifies its clients.',
  }),
  key: option(filePath('a private key').optional(), {
    meaning: 'PEM file with its private key.',
    otherwise: '`CONSUL_CLIENT_KEY`, else none',
    why: 'A certificate cannot be used without its key.',
  }),
  server_name: option(plainText('a host name').min(1, { error: 'a host name' }).optional(), {
    meaning: "The name that the agent's certificate has to hold.",
    otherwise: '`CONSUL_TLS_SERVER_NAME`, else the host in the address',
    why: 'An agent on loopback often has a certificate for `server.dc1.consul`.',
  }),
  verify: option(yesOrNo().optional(), {
    meaning: '`false`: the certificate of the agent is not verified; any server that answers gets the token.',
    otherwise: '`CONSUL_HTTP_SSL_VERIFY`, else `true`',
    why: 'Fails closed.',
  }),
}).check(
  rules((found, report) => {
    if (found['cert'] !== undefined && found['key'] === undefined)
      report(['key'], 'missing; expected the private key of cert');
    if (found['key'] !== undefined && found['cert'] === undefined)
      report(['cert'], 'missing; expected the certificate of key');
  }),
);

const weights = block({
  passing: option(wholeNumber({ min: 1, max: 65_535 }).prefault(1), {
    meaning: 'While all checks pass.',
    why: 'All instances get the same share.',
  }),
  warning: option(wholeNumber({ min: 0, max: 65_535 }).prefault(1), {
    meaning: 'While a check warns.',
    why: "Consul's own default.",
  }),
});

/** `tags` of an instance, at most 64 of at most 512 bytes. */
export const ownTags = option(tagList().prefault([]), {
  meaning: 'Tags of the instance, by which callers and people may choose among instances.',
  why: 'Names of models and versions are registered as metadata anyway.',
});

/** `meta` of an instance, at most 48 pairs. */
export const registeredMeta = option(ownMeta().prefault({}), {
  meaning: "Metadata of the instance, beside Outrider's own.",
  why: 'Names of models and versions are registered anyway.',
});

const registrationCommon = {
  weights: option(weights.prefault({}), {
    meaning: 'Share of traffic relative to other instances.',
    why: 'All instances get the same share.',
  }),
  deregister_after: option(duration({ min: MINUTE_MS, max: 720 * HOUR_MS }).prefault('10m'), {
    meaning: 'Consul removes an instance that has been critical for this long, as a dead one is.',
    why: 'Longer than a restart with loading and warming up. Consul takes no less than a minute.',
  }),
  propagation: option(duration({ min: 0, max: 60 * SECOND_MS }).prefault('2s'), {
    meaning: 'A drain waits this long between saying "critical" and sending callers away.',
    why: 'Callers that watch have heard of it by then.',
  }),
};

const sidecarRegistration = block({
  address: option(reachableHost().optional(), {
    meaning: 'Host at which peers reach this instance; the port is that of `inbound.listen`.',
    otherwise: "the host in `inbound.listen`, or the agent's own address where that is a wildcard",
    why: 'On most machines that is the one.',
  }),
  tags: ownTags,
  meta: registeredMeta,
  ...registrationCommon,
});

const meshRegistration = block(registrationCommon);

const registrationDoc = {
  meaning:
    'How this instance is registered in the catalogue. `none`: it is not, and other sidecars do not find it.',
  why: 'A mesh whose members do not register has nothing to discover.',
};

const orNone = (what: string) => ({ error: `${what}, or none` });

const cacheKeys = option(yesOrNo().prefault(false), {
  meaning:
    "The certificate and its private key are kept too. Then a sidecar that restarts without Consul serves at once. But whoever reads the disk or a copy of it can act as this service until the certificate expires (72 h by Consul's default). The file is readable by its owner only (0600).",
  why: 'A key that is never written down cannot be copied.',
});

const cache = (meaning: string) =>
  block({
    dir: option(filePath('a directory'), {
      meaning,
      why: 'It has to outlive the process, and a default directory might not.',
    }),
    keys: cacheKeys,
  });

const common = {
  address: option(agentUrl().optional(), {
    meaning: "The agent's HTTP API: `http://host:port`, `https://host:port` or `unix:///path`.",
    otherwise: '`CONSUL_HTTP_ADDR`, else `http://127.0.0.1:8500`',
    why: 'An agent runs on every machine of a Consul cluster.',
  }),
  token_file: option(filePath('a file with a token').optional(), {
    meaning: 'File that holds the ACL token; a new one in it is used from the next request on.',
    otherwise: '`CONSUL_HTTP_TOKEN_FILE`, `CONSUL_HTTP_TOKEN`, else no token',
    why: 'A token in a configuration file would be readable wherever the file is.',
  }),
  tls: option(tls.prefault({}), {
    meaning: 'For an agent at `https://`.',
    why: 'The variables that the `consul` command reads are honoured.',
  }),
  stale: option(yesOrNo().prefault(true), {
    meaning: 'Any server may answer reads, not only the leader.',
    why: 'Works on while there is no leader, and is milliseconds behind otherwise.',
  }),
  wait: option(duration({ min: SECOND_MS, max: 10 * MINUTE_MS }).prefault('5m'), {
    meaning: 'Longest time the agent may hold a read until something changes.',
    why: "Consul's own default.",
  }),
  grace: option(duration({ min: 0, max: 24 * HOUR_MS }).prefault('60s'), {
    meaning:
      'If an answer of Consul suddenly lacks more than half of the instances in use, those that still answer calls are kept for this long.',
    why: 'Empty answers come from mistakes and restarts more often than from empty services; this is time to notice.',
  }),
  max_answer: option(size({ min: 64 * KIB, max: GIB }).prefault('32MiB'), {
    meaning: 'A larger answer is refused, and what was known stays.',
    why: '10,000 instances take 19 MB.',
  }),
  intentions: option(yesOrNo().prefault(true), {
    meaning: 'Intentions are read from Consul; `false`: from the file.',
    why: 'One place for the whole mesh.',
  }),
  locality: placeKeys,
  rules: option(yesOrNo().prefault(true), {
    meaning:
      "Consul's own traffic rules (service-router, -splitter, -resolver, -defaults and proxy-defaults) are applied; this file wins over them. The log, `outrider status` and `outrider validate --consul` name what is not applied.",
    why: 'Operators expect them to work.',
  }),
};

const ownRegistration = z.union(
  [sidecarRegistration, choice(['none'])],
  orNone('a block about the registration'),
);

const sidecarBlock = blockAs('a block about Consul; {} is enough for an agent on this machine', {
  ...common,
  registration: option(
    inCode(
      ownRegistration.optional(),
      (said) => (said === 'none' ? undefined : (said ?? plainRegistration())),
      (config) => config ?? 'none',
    ),
    { ...registrationDoc, otherwise: 'its defaults; with `adopt`: `none`' },
  ),
  adopt: option(adopt.optional(), {
    meaning:
      'Present: something else has registered this sidecar (Nomad, `sidecar_service`), and the sidecar registers nothing. The registration fills in what the file leaves out. It gives `service` and `inbound.listen` (`bind_address` and `bind_port` of its configuration, else its address and port). It gives `inbound.local` if the file has a block `inbound`, of which `{}` is enough; without the block nothing is served. It gives upstreams with their listeners, datacenters, `connect_timeout_ms`, `limits` and `passive_health_check`; blocks of the same names under `outbound.upstreams` add to them. Upstreams that change are followed; another port or service needs a restart. The sidecar keeps up TTL checks of the proxy. If the agent is down at the start and `cache` has no registration, the sidecar waits and serves `/live` and `/ready` meanwhile. If the agent answers and lacks the registration, it waits for 30 s.',
    otherwise: 'absent: the sidecar registers itself, as `registration` says',
    why: 'Most sidecars register themselves.',
  }),
  cache: option(cache('Directory of this instance alone; made private (0700).').optional(), {
    meaning:
      'Present: what was last read (instances, intentions, roots, an adopted registration) also survives a restart of the sidecar.',
    otherwise: 'absent: it survives an outage of Consul, and no restart',
    why: 'It needs a directory that outlives the process.',
  }),
}).check(rules(refuseIdleTls, refuseTwoRegistrations));

/** In a sidecar file. */
export const sidecarConsul = inCode(sidecarBlock, (said) => {
  const { registration, ...rest } = said;
  return said.adopt === undefined ? said : (rest as typeof said);
});

/** What `registration: {}` means. */
function plainRegistration() {
  return fromFile(sidecarRegistration, sidecarRegistration.parse({}), '/');
}

/** In a mesh file: `outrider up` knows names, addresses and folders. */
export const meshConsul = blockAs('a block about Consul; {} is enough for an agent on this machine', {
  ...common,
  registration: option(
    inCode(
      z.union([meshRegistration, choice(['none'])], orNone('a block about the registration')).prefault({}),
      (said) => (said === 'none' ? undefined : { ...said, tags: [], meta: {} }),
    ),
    { ...registrationDoc, meaning: 'How each replica is registered in the catalogue. `none`: not at all.' },
  ),
  cache: option(cache('Directory in which each sidecar gets one of its own.').optional(), {
    meaning: 'Present: what was last read (instances, intentions, roots) survives the end of the mesh.',
    otherwise: 'absent: it survives outages of Consul only',
    why: 'It needs a directory that outlives the process.',
  }),
}).check(rules(refuseIdleTls));

/** What `consul: {}` means. */
export function plainConsul() {
  return fromFile(meshConsul, meshConsul.parse({}), '/');
}

/** A registration is made by this sidecar, or adopted. */
function refuseTwoRegistrations({ adopt: adopted, registration }: FoundBlock, report: Report): void {
  if (adopted === undefined || registration === undefined || registration === 'none') return;
  report(['registration'], 'found beside adopt, which registers nothing; expected only one of them');
}

/** TLS options beside an address without TLS: one of the two is a mistake, and it could be the dangerous one. */
function refuseIdleTls(found: FoundBlock, report: Report): void {
  const said = Object.values(mapping(found['tls'])).some((part) => part !== undefined);
  const where = text(found['address']);
  if (!said || where === undefined || where.startsWith('https:')) return;
  report(
    ['tls'],
    `found beside the address ${where}, which does without TLS; expected an address with https://`,
  );
}
