/**
 * The parts of arbitrary sidecar files that are about Consul, and what each of them forbids elsewhere in the file.
 */
import fc from 'fast-check';
import { writeDuration } from '../../../sidecar/config/codecs/duration.js';
import { writeSize } from '../../../sidecar/config/codecs/size.js';

type Spelled = Record<string, unknown>;

const KIB = 1_024;
const MIB = 1_048_576;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?$/);
const datacenter = fc.stringMatching(/^[a-z0-9_-]{1,12}$/);
const path = fc.stringMatching(/^\/[a-z0-9 _-]{1,20}$/);
const duration = (min: number, max: number) => fc.integer({ min, max }).map(writeDuration);
/** Text of any characters but control characters; whole surrogate pairs only. */
const printable = (minLength: number) =>
  fc.string({ unit: 'binary', minLength, maxLength: 12 }).map((text) => text.replaceAll(/\p{Cc}/gu, '-'));

const tags = fc.uniqueArray(printable(1), { maxLength: 4 });
const meta = fc.dictionary(fc.stringMatching(/^k[A-Za-z0-9_-]{0,20}$/), printable(0), {
  maxKeys: 4,
  noNullPrototype: true,
});

const flags = { stale: fc.boolean(), intentions: fc.boolean(), rules: fc.boolean() };

const registration = fc.record(
  {
    address: fc.constantFrom('10.0.0.7', 'fd00::7', 'digits.internal'),
    tags,
    meta,
    weights: fc.record(
      { passing: fc.integer({ min: 1, max: 65_535 }), warning: fc.integer({ min: 0, max: 65_535 }) },
      { requiredKeys: [] },
    ),
    deregister_after: duration(MINUTE_MS, 720 * HOUR_MS),
    propagation: duration(0, MINUTE_MS),
  },
  { requiredKeys: [] },
);

const certificate = fc.oneof(fc.constant({}), fc.record({ cert: path, key: path }));
const tls = fc
  .tuple(certificate, fc.record({ ca: path, server_name: name, verify: fc.boolean() }, { requiredKeys: [] }))
  .map(([pair, rest]) => ({ ...pair, ...rest }));

/** TLS options stand only beside an address that speaks it, or beside none. */
const reached: fc.Arbitrary<Spelled> = fc.oneof(
  fc.record({
    address: fc.constantFrom('http://127.0.0.1:8500', 'http://[::1]:1/', 'unix:///run/consul.sock'),
  }),
  fc.record(
    { address: fc.constantFrom('https://consul.internal:8501', 'https://10.0.0.1:443/'), tls },
    { requiredKeys: ['address'] },
  ),
  fc.record({ tls }, { requiredKeys: [] }),
);

/** A block `consul` at the top. */
export const consulBlocks: fc.Arbitrary<Spelled> = fc
  .tuple(
    reached,
    fc.record(
      {
        ...flags,
        token_file: path,
        wait: duration(1_000, 10 * MINUTE_MS),
        grace: duration(0, 24 * HOUR_MS),
        max_answer: fc.integer({ min: 64 * KIB, max: 64 * MIB }).map(writeSize),
        registration: fc.oneof(registration, fc.constant('none')),
        cache: fc.record({ dir: path, keys: fc.boolean() }, { requiredKeys: ['dir'] }),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([first, second]) => ({ ...first, ...second }));

/** A block `consul` of an upstream. Each place to fail over to is in a datacenter of its own. */
export const discoveryBlocks: fc.Arbitrary<Spelled> = fc.record(
  {
    service: name,
    datacenter,
    tags,
    meta,
    failover: fc
      .array(fc.record({ service: name, tags, meta }, { requiredKeys: [] }), { maxLength: 3 })
      .map((all) => all.map((target, i) => ({ ...target, datacenter: `elsewhere-of-it-all-${i}` }))),
  },
  { requiredKeys: [] },
);

/** Makes an otherwise arbitrary file keep the rules that its block `consul`, or the lack of one, brings. */
export function settled(file: Spelled): Spelled {
  const consul = file['consul'] as Spelled | undefined;
  const inbound = file['inbound'] as Spelled | undefined;
  const outbound = file['outbound'] as { upstreams: Record<string, Spelled> } | undefined;
  return {
    ...(file['identity'] === undefined ? without(file, 'trust_domain', 'datacenter') : file),
    ...(inbound && { inbound: settledInbound(inbound, consul) }),
    ...(outbound && {
      outbound: {
        ...outbound,
        upstreams: Object.fromEntries(
          Object.entries(outbound.upstreams).map(([key, said]) => [key, settledUpstream(said, consul)]),
        ),
      },
    }),
  };
}

function settledInbound(inbound: Spelled, consul: Spelled | undefined): Spelled {
  if (consul === undefined) return inbound;
  const rest = consul['intentions'] === false ? inbound : without(inbound, 'intentions', 'default_intention');
  const isSocket = rest['listen'] === 'unix:' && consul['registration'] !== 'none';
  return isSocket ? { ...rest, listen: '127.0.0.1' } : rest;
}

/** Upstreams come with `endpoints` and `consul`, and with `from`, which says what to keep where both are possible. */
function settledUpstream(said: Spelled, consul: Spelled | undefined): Spelled {
  if (consul === undefined || said['from'] === 'endpoints') return without(said, 'consul', 'from');
  return said['from'] === 'consul'
    ? without(said, 'endpoints', 'from')
    : without(said, 'endpoints', 'consul', 'from');
}

function without(file: Spelled, ...keys: string[]): Spelled {
  return Object.fromEntries(Object.entries(file).filter(([key]) => !keys.includes(key)));
}
