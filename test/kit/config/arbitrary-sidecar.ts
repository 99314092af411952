/**
 * Every sidecar file that the parser should accept, as plain values to be written as JSON (which is YAML).
 *
 * Options are there or not, at either end of their range or between, and keep the rules between them.
 */
import fc from 'fast-check';
import { writeDuration } from '../../../sidecar/config/codecs/duration.js';
import { writeSize } from '../../../sidecar/config/codecs/size.js';
import { RETRYABLE_STATUSES } from '../../../sidecar/config/codecs/status-code.js';
import { consulBlocks, discoveryBlocks, settled } from './arbitrary-consul.js';
import {
  accessLog,
  care,
  detectors,
  detours,
  named,
  outcomes,
  queueExtra,
  rateLimits,
  twice,
} from './arbitrary-decisions.js';

type Spelled = Record<string, unknown>;

const KIB = 1_024;
const MIB = 1_048_576;
const HOUR_MS = 3_600_000;

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?$/);
const duration = (min: number, max: number) => fc.integer({ min, max }).map(writeDuration);
const size = (min: number, max: number) => fc.integer({ min, max }).map(writeSize);
const count = (min: number, max: number) => fc.integer({ min, max });
const ratio = fc.double({ min: 0, max: 1, noNaN: true });
/** Text of any characters but NUL, whole surrogate pairs only: files are UTF-8. */
const anyText = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 12 })
  .map((text) => text.replaceAll('\0', '-'));
const path = fc.stringMatching(/^\/[a-z0-9 ._-]{1,20}\.pem$/).map((text) => text.replaceAll('..', '-'));

/** A record with some of the keys left out. */
function some<T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }, requiredKeys: (keyof T)[] = []) {
  return fc.record(shape, { requiredKeys }) as fc.Arbitrary<Spelled>;
}

const baseAndMax = (min: number, max: number) =>
  fc
    .tuple(count(min, max), count(min, max))
    .map(([a, b]) => ({ base: writeDuration(Math.min(a, b)), max: writeDuration(Math.max(a, b)) }));

const methodSets = fc.uniqueArray(fc.stringMatching(/^\/[a-z]{1,8}\.[A-Z][a-z]{0,8}\/[A-Z][a-z]{0,8}$/), {
  maxLength: 6,
});

/** Routes over distinct methods; the last may take all that is left. */
function routes(extra: fc.Arbitrary<Spelled>): fc.Arbitrary<Spelled[]> {
  return fc
    .tuple(methodSets, fc.array(fc.tuple(times, extra), { minLength: 7, maxLength: 7 }), fc.boolean())
    .map(([methods, options, closes]) => {
      const patterns = [...methods.map((method) => [method]), ...(closes ? [['*']] : [])];
      return patterns.map((list, i) => ({ methods: list, ...options[i]![0], ...options[i]![1] }));
    });
}

const times: fc.Arbitrary<Spelled> = some({
  kind: fc.constantFrom('unary', 'streaming'),
  timeout: fc.oneof(fc.constant('none'), duration(60_000, 24 * HOUR_MS)),
  max_timeout: fc.oneof(fc.constant('none'), fc.constant('24h')),
  idle_timeout: fc.oneof(fc.constant('none'), duration(1, 24 * HOUR_MS)),
});

const retry = some({
  attempts: count(2, 5),
  on: fc.uniqueArray(fc.constantFrom(...RETRYABLE_STATUSES)),
  backoff: baseAndMax(1, 60_000),
});

const outboundExtra: fc.Arbitrary<Spelled> = fc.oneof(
  some({
    idempotent: fc.constant(false),
    attempt_timeout: fc.oneof(fc.constant('none'), duration(1, 15_000)),
    outcomes,
  }),
  some({ idempotent: fc.constant(true), retry, outcomes, attempt_timeout: duration(1, 15_000) }, [
    'idempotent',
  ]),
  fc
    .tuple(
      some({ retry, attempt_timeout: duration(15_000, 60_000), timeout: fc.constant('2m') }, ['timeout']),
      twice,
      detours,
    )
    .map(([plain, copies, others]) => ({
      ...plain,
      ...copies,
      ...others,
      kind: 'unary',
      idempotent: true,
    })),
);

const queue = fc
  .tuple(
    some({
      concurrency: count(1, 10_000),
      max_waiting: count(0, 1_000_000),
      max_waiting_bytes: size(64 * KIB, 64 * MIB),
    }),
    queueExtra,
  )
  .map(([plain, extra]) => ({ ...plain, ...extra }));

const limits = some({
  max_connections: count(8, 1_000_000),
  max_concurrent_streams: count(8, 100_000),
  max_header_bytes: size(4 * KIB, MIB),
  max_header_fields: count(16, 10_000),
  handshake_timeout: duration(100, 300_000),
  handshakes_per_second: count(1, 1_000_000),
  frames_per_second: some({
    pings: count(1, 1_000_000),
    resets: count(10, 1_000_000),
    settings: count(2, 1_000_000),
    window_updates: count(1_000, 10_000_000),
    empty: count(1, 1_000_000),
    ignored: count(10, 1_000_000),
    violations: count(1, 1_000_000),
  }),
  memory_budget: size(16 * MIB, 1_024 * MIB),
  replay_bytes_per_call: size(0, 16 * MIB),
});

const intention = fc.record({
  from: fc.oneof(fc.constant('*'), name),
  to: fc.oneof(fc.constant('*'), name),
  action: fc.constantFrom('allow', 'deny'),
});

/** Listeners share one host, so that the place of each in the file can give it a port of its own. */
const listener = fc.constantFrom('127.0.0.1', '[::1]', 'localhost', 'unix:');

const inbound = some(
  {
    listen: listener,
    mtls: fc.constantFrom('strict', 'permissive', 'off'),
    local: fc.constantFrom('127.0.0.1:1', 'unix:/run/model.sock', 'model.example:80'),
    intentions: fc.array(intention, { maxLength: 4 }),
    default_intention: fc.constantFrom('allow', 'deny'),
    golden: some({ models: path, interval: duration(100, HOUR_MS) }, ['models']),
    queue,
    rate_limits: rateLimits,
    routes: routes(fc.constant({})),
  },
  ['listen', 'local'],
);

const endpoints = fc
  .array(
    fc.record({
      weight: fc.double({ min: 0.001, max: 1_000_000, noNaN: true }),
      named: fc.boolean(),
      plain: fc.boolean(),
      place: fc.option(fc.constantFrom('dc1', 'zone b')),
    }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((all) =>
    all.map(({ weight, named, plain, place }, i) => {
      const address = `10.0.0.${i}:9000`;
      if (plain) return address;
      return {
        address,
        weight,
        ...(named ? { id: `e ${i}: "#` } : {}),
        ...(place === null ? {} : { locality: place }),
      };
    }),
  );

const upstream = some(
  {
    listen: listener,
    tls: fc.constantFrom('mesh', 'plaintext'),
    endpoints,
    consul: discoveryBlocks,
    from: fc.constantFrom('endpoints', 'consul', 'name'),
    balance: fc.oneof(
      fc.record({ kind: fc.constantFrom('least-loaded', 'round-robin') }),
      fc.record({ kind: fc.constant('ring-hash'), key: fc.constantFrom('x-session', 'user_id') }),
    ),
    ...care,
    ejection: fc
      .tuple(
        some({
          mode: fc.constantFrom('enforce', 'observe'),
          consecutive_faults: count(1, 1_000),
          jitter: ratio,
          detectors,
        }),
        baseAndMax(10, HOUR_MS),
      )
      .map(([other, times]) => ({ ...other, ...times })),
    pool: some({
      max_endpoints: count(1, 100_000),
      connections: count(1, 64),
      connect_timeout: duration(1, 60_000),
      ping_interval: duration(10, HOUR_MS),
      ping_timeout: duration(10, 60_000),
      max_age: fc.oneof(fc.constant('none'), duration(1_000, HOUR_MS)),
    }),
    budget: some({ ratio, per_second: fc.double({ min: 0, max: 10_000, noNaN: true }) }),
    routes: routes(outboundExtra),
  },
  ['listen', 'endpoints', 'consul', 'from'],
);

const shared = fc.oneof(
  some({ listen: listener, by: fc.constant('authority') }, ['listen']),
  some({ listen: listener, by: fc.constant('metadata'), metadata_key: fc.constantFrom('to', 'x-upstream') }, [
    'listen',
    'by',
  ]),
);

const outbound = some(
  {
    upstreams: fc
      .dictionary(name, upstream, { minKeys: 1, maxKeys: 3, noNullPrototype: true })
      .map((all) => named(all)),
    shared,
  },
  ['upstreams'],
);

const model = some({
  command: fc.array(anyText, { minLength: 1, maxLength: 4 }),
  env: fc.dictionary(fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/), fc.oneof(anyText, fc.constant('')), {
    maxKeys: 4,
    noNullPrototype: true,
  }),
  inherit: fc.array(fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}\*?$/), { maxLength: 3 }),
  start_timeout: duration(10, HOUR_MS),
  longest_run: duration(1_000, HOUR_MS),
  restart: fc
    .tuple(
      some({
        limit: some({
          starts: fc.oneof(fc.constant('none'), count(1, 1_000)),
          within: duration(1, HOUR_MS),
        }),
        retry_after: duration(10, HOUR_MS),
      }),
      baseAndMax(1, 600_000),
    )
    .map(([other, times]) => ({ ...other, ...times })),
  stop_timeout: duration(1, HOUR_MS),
});

const ends = fc
  .tuple(
    fc.oneof(
      some({ inbound, model }, ['inbound']),
      some({ outbound }, ['outbound']),
      some({ inbound, outbound, model }, ['inbound', 'outbound']),
    ),
    fc.constantFrom(undefined, 'shared', 'process'),
  )
  .map(([all, isolation]) => isolated(all as Spelled, isolation));

/** With models by name, where there are any: what that asks for. */
function isolated(all: Spelled, isolation: string | undefined): Spelled {
  const { inbound: block, model: process } = all as Readonly<Record<string, Spelled | undefined>>;
  if (isolation === undefined || process === undefined || block?.['golden'] === undefined) return all;
  if (isolation === 'shared') return { ...all, model: { ...process, isolation } };
  const { command, ...life } = process as { command?: readonly string[] };
  const words = command === undefined ? {} : { command: [...command, '--model={model}'] };
  return {
    ...all,
    inbound: { ...block, local: 'unix:/run/model.sock' },
    model: { ...life, ...words, isolation },
  };
}

/** Certificates from files, from Consul, or one beside the other. */
const sources = fc.oneof(
  fc.record({ identity: fc.record({ cert: path, key: path, roots: path }) }),
  fc.record({ consul: consulBlocks }),
  fc.record({ identity: fc.record({ cert: path, key: path, roots: path }), consul: consulBlocks }),
);

const head = some(
  {
    service: name,
    instance: anyText,
    trust_domain: name,
    datacenter: name,
    admin: listener,
    drain_timeout: duration(0, HOUR_MS),
    access_log: accessLog,
    fault_injection: fc.boolean(),
    log: some({ level: fc.constantFrom('debug', 'info', 'warn', 'error') }),
    limits,
  },
  ['service'],
);

/** Values for JSON.stringify. */
export const sidecarFiles: fc.Arbitrary<Spelled> = fc
  .tuple(head, sources, ends)
  .map((parts) => withPorts(settled(Object.assign({}, ...parts) as Spelled)) as Spelled);

/** Gives every listener an address of its own. */
function withPorts(file: Spelled): unknown {
  let next = 20_000;
  const settle = (value: unknown, key: string): unknown => {
    if ((key === 'listen' || key === 'admin') && typeof value === 'string') {
      next += 1;
      return value === 'unix:' ? `unix:/run/${next}.sock` : `${value}:${next}`;
    }
    if (Array.isArray(value)) return value.map((item) => settle(item, ''));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([inner, item]) => [inner, settle(item, inner)]));
  };
  return settle(file, '');
}
