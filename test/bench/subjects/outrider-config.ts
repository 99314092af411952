/**
 * The sidecar files of the benchmark. `plain`: what a sidecar does unasked, with retries and attempt timeouts besides.
 * `everything`: every block of mesh-config/resilient.yaml that a call can meet, with settings under which all calls still
 * go the same way: what is measured is the deciding. Only copies for the mirror are calls more than before.
 */

import { PATHS } from '../load/protocol.js';

/** The names of what is measured of ours. */
export const PLAIN = 'outrider';
export const EVERYTHING = 'outrider-all';
export const BEFORE = 'outrider-before';
export const EVERYTHING_BEFORE = 'outrider-all-before';

/** `everything` may leave blocks out, to find out what each costs. */
export type Decisions = 'plain' | { readonly everythingBut: string };
export const ALL: Decisions = { everythingBut: '' };

/** What a caller's sidecar file needs. */
export interface OutboundFile {
  readonly port: number;
  readonly tls: 'mesh' | 'plaintext';
  /** Port of the one endpoint, on 127.0.0.1. */
  readonly endpoint: number;
  /** Where copies go, which are not counted, and two ports for upstreams that are not called directly. */
  readonly aside: number;
  readonly spare: readonly [number, number];
}

const PLAIN_UNARY = {
  ...{ kind: 'unary', idempotent: true, timeout: '15s', attempt_timeout: '5s' },
  retry: { attempts: 2, on: ['unavailable'] },
};

/** What `everything` has beside `plain`, one block each. */
const ROUTE_BLOCKS = {
  max_timeout: '30s',
  hedge: { percentile: 0.95, min_delay: '5ms', max_ratio: 0.05 },
  fallback: [
    { kind: 'upstream', upstream: 'canary' },
    { kind: 'last-good', max_age: '5m', max_bytes: '16MiB' },
  ],
  split: {
    match: [{ key: 'x-canary', value: 'yes', upstream: 'canary' }],
    ...{ weights: { echo: 1, canary: 0 }, sticky_by: 'x-session' },
  },
  mirror: { upstream: 'shadow', ratio: 0.01, max_in_flight: 8 },
};

const UPSTREAM_BLOCKS = {
  health: { kind: 'ping', interval: '1s' },
  breaker: { max_connections: 64, max_pending: 1024, max_in_flight: 4096, max_retries: 64 },
  slow_start: { min_ratio: 0.1, converged_factor: 1.5, min_calls: 20, max: '1m' },
  locality: { own: 'here', spill_below: 0.7 },
  budget: { ratio: 0.2, per_second: 3 },
  pool: { ping_interval: '2s', ping_timeout: '1s' },
};

const DETECTORS = {
  success_ratio: { mode: 'enforce', below: 0.8, min_calls: 5 },
  success_rate: { mode: 'enforce', factor: 1.9, min_peers: 5, min_calls: 100 },
  failure_ratio: { mode: 'observe', above: 0.85, min_peers: 2, min_calls: 50 },
  latency: { mode: 'enforce', factor: 3, min_calls: 20 },
  invalid_output: { mode: 'enforce', above: 0.5, min_samples: 5, sample_ratio: 0.05 },
  short_lived: { mode: 'enforce', min_connections: 2 },
};

const PROCESS_BLOCKS = { access_log: { path: 'calls.log', sample_ratio: 0.01 }, fault_injection: true };

const QUEUE_BLOCKS = {
  adaptive: { min: 2, max: 512 },
  priority: { key: 'x-priority', classes: ['interactive', 'ordinary', 'batch'], default_class: 'ordinary' },
  fair: true,
};

const LIMITS = {
  rate_limits: [
    { callers: ['batch'], per_second: 100 },
    { callers: ['*'], methods: [PATHS.unary], per_second: 1_000_000, burst: 1_000_000 },
  ],
};

/** Names of what can be left out, one at a time. */
export const BLOCKS: readonly string[] = [
  ...[ROUTE_BLOCKS, UPSTREAM_BLOCKS, DETECTORS, PROCESS_BLOCKS, QUEUE_BLOCKS, LIMITS].flatMap(Object.keys),
];

/** The blocks that `decisions` asks for: none of them, or all but one. */
function asked(blocks: object, decisions: Decisions): object {
  if (decisions === 'plain') return {};
  return Object.fromEntries(Object.entries(blocks).filter(([name]) => name !== decisions.everythingBut));
}

/** The routes of an upstream. */
function routes(unary: object): object[] {
  const stream = { methods: [PATHS.stream, PATHS.tokens], kind: 'streaming', idle_timeout: '5m' };
  return [{ methods: [PATHS.unary, PATHS.download], ...unary }, stream];
}

/** The `outbound` block, and what belongs to it. */
export function outboundBlocks(file: OutboundFile, decisions: Decisions): object {
  const { port, tls, endpoint, aside, spare } = file;
  const balance = { kind: 'least-loaded' };
  if (decisions === 'plain') {
    const echo = { listen: `127.0.0.1:${port}`, tls, endpoints: [`127.0.0.1:${endpoint}`], balance };
    const ejection = { mode: 'enforce' };
    return { outbound: { upstreams: { echo: { ...echo, ejection, routes: routes(PLAIN_UNARY) } } } };
  }
  const to = (listen: number, at: number) => ({
    listen: `127.0.0.1:${listen}`,
    endpoints: [{ address: `127.0.0.1:${at}`, locality: 'here' }],
  });
  const detectors = asked({ consecutive: { mode: 'enforce' }, ...DETECTORS }, decisions);
  const all = { balance, ...asked(UPSTREAM_BLOCKS, decisions), ejection: { mode: 'enforce', detectors } };
  const aways = { tls: 'plaintext', routes: routes(PLAIN_UNARY) };
  const everything = routes({ ...PLAIN_UNARY, ...asked(ROUTE_BLOCKS, decisions) });
  const upstreams = {
    echo: { ...to(port, endpoint), tls, ...all, routes: everything },
    canary: { ...to(spare[0], aside), ...all, ...aways },
    shadow: { ...to(spare[1], aside), ...aways },
  };
  return { ...asked(PROCESS_BLOCKS, decisions), outbound: { upstreams } };
}

/** The `inbound` block, and what belongs to it. */
export function inboundBlocks(port: number, local: number, decisions: Decisions): object {
  const queue = { concurrency: 256, max_waiting: 1024, ...asked(QUEUE_BLOCKS, decisions) };
  const inbound = {
    listen: `127.0.0.1:${port}`,
    mtls: 'strict',
    local: `127.0.0.1:${local}`,
    // Its one question would count among the executions.
    reflection: false,
    default_intention: 'deny',
    intentions: [{ from: 'caller', to: 'echo', action: 'allow' }],
    queue,
    ...asked(LIMITS, decisions),
    routes: [
      { methods: [PATHS.unary, PATHS.download], kind: 'unary' },
      { methods: [PATHS.stream, PATHS.tokens], kind: 'streaming' },
    ],
  };
  return { ...asked(PROCESS_BLOCKS, decisions), inbound };
}

export function identityBlock(certs: string, service: string): object {
  const [cert, key] = [`${certs}/${service}.crt`, `${certs}/${service}.key`];
  return { identity: { cert, key, roots: `${certs}/roots.crt` } };
}
