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

const PLAIN_UNARY = `
          kind: unary
          idempotent: true
          timeout: 15s
          attempt_timeout: 5s
          retry: { attempts: 2, on: [unavailable] }`;

/** What `everything` has beside `plain`, one block each. */
const ROUTE_BLOCKS = {
  max_timeout: '30s',
  hedge: '{ percentile: 0.95, min_delay: 5ms, max_ratio: 0.05 }',
  fallback: '[{ kind: upstream, upstream: canary }, { kind: last-good, max_age: 5m, max_bytes: 16MiB }]',
  split:
    '{ match: [{ key: x-canary, value: "yes", upstream: canary }], weights: { echo: 1, canary: 0 }, sticky_by: x-session }',
  mirror: '{ upstream: shadow, ratio: 0.01, max_in_flight: 8 }',
};

const UPSTREAM_BLOCKS = {
  health: '{ kind: ping, interval: 1s }',
  breaker: '{ max_connections: 64, max_pending: 1024, max_in_flight: 4096, max_retries: 64 }',
  slow_start: '{ min_ratio: 0.1, converged_factor: 1.5, min_calls: 20, max: 1m }',
  locality: '{ own: here, spill_below: 0.7 }',
  budget: '{ ratio: 0.2, per_second: 3 }',
  pool: '{ ping_interval: 2s, ping_timeout: 1s }',
};

const DETECTORS = {
  success_ratio: '{ mode: enforce, below: 0.8, min_calls: 5 }',
  success_rate: '{ mode: enforce, factor: 1.9, min_peers: 5, min_calls: 100 }',
  failure_ratio: '{ mode: observe, above: 0.85, min_peers: 2, min_calls: 50 }',
  latency: '{ mode: enforce, factor: 3, min_calls: 20 }',
  invalid_output: '{ mode: enforce, above: 0.5, min_samples: 20, sample_ratio: 0.05 }',
};

const PROCESS_BLOCKS = {
  access_log: '{ path: calls.log, sample_ratio: 0.01 }',
  fault_injection: 'true',
};

const QUEUE_BLOCKS = {
  adaptive: '{ min: 2, max: 512 }',
  priority: '{ key: x-priority, classes: [interactive, ordinary, batch], default_class: ordinary }',
  fair: 'true',
};

const RATE_LIMITS = 'rate_limits';

/** Names of what can be left out, one at a time. */
export const BLOCKS: readonly string[] = [
  ...[ROUTE_BLOCKS, UPSTREAM_BLOCKS, DETECTORS, PROCESS_BLOCKS, QUEUE_BLOCKS].flatMap(Object.keys),
  RATE_LIMITS,
];

/** The blocks one to a line, `without` left out. */
function written(blocks: Readonly<Record<string, string>>, indent: number, without: string): string {
  const lines = Object.entries(blocks).filter(([name]) => name !== without);
  return lines.map(([name, value]) => `\n${' '.repeat(indent)}${name}: ${value}`).join('');
}

function routes(unary: string): string {
  return `
      routes:
        - methods: ["${PATHS.unary}"]${unary}
        - methods: ["${PATHS.stream}"]
          kind: streaming
          idle_timeout: 5m`;
}

/** What an upstream has beside its routes. */
function upstreamBlocks(without: string): string {
  return `
      balance: { kind: least-loaded }${written(UPSTREAM_BLOCKS, 6, without)}
      ejection:
        mode: enforce
        detectors:${written({ consecutive: '{ mode: enforce }', ...DETECTORS }, 10, without)}`;
}

function upstream(
  name: string,
  listen: number,
  endpoint: string,
  tls: OutboundFile['tls'],
  rest: string,
): string {
  return `
    ${name}:
      listen: 127.0.0.1:${listen}
      tls: ${tls}
      endpoints: [${endpoint}]${rest}`;
}

/** The `outbound` block, and what belongs to it, as YAML. */
export function outboundBlocks(file: OutboundFile, decisions: Decisions): string {
  const { port, tls, endpoint, aside, spare } = file;
  if (decisions === 'plain') {
    const rest = `
      balance: { kind: least-loaded }
      ejection: { mode: enforce }${routes(PLAIN_UNARY)}`;
    return `
outbound:
  upstreams:${upstream('echo', port, `"127.0.0.1:${endpoint}"`, tls, rest)}
`;
  }
  const but = decisions.everythingBut;
  const here = (to: number): string => `{ address: "127.0.0.1:${to}", locality: here }`;
  const all = upstreamBlocks(but);
  const unary = PLAIN_UNARY + written(ROUTE_BLOCKS, 10, but);
  return `${written(PROCESS_BLOCKS, 0, but)}
outbound:
  upstreams:${upstream('echo', port, here(endpoint), tls, all + routes(unary))}
${upstream('canary', spare[0], here(aside), 'plaintext', all + routes(PLAIN_UNARY))}
${upstream('shadow', spare[1], here(aside), 'plaintext', routes(PLAIN_UNARY))}
`;
}

/** The `inbound` block, and what belongs to it, as YAML. */
export function inboundBlocks(port: number, local: number, decisions: Decisions): string {
  const isPlain = decisions === 'plain';
  const but = isPlain ? '' : decisions.everythingBut;
  const queue = isPlain
    ? '{ concurrency: 256, max_waiting: 1024 }'
    : `
    concurrency: 256
    max_waiting: 1024${written(QUEUE_BLOCKS, 4, but)}`;
  const limits = `
  rate_limits:
    - { callers: [batch], per_second: 100 }
    - { callers: ["*"], methods: ["${PATHS.unary}"], per_second: 1000000, burst: 1000000 }`;
  return `${isPlain ? '' : written(PROCESS_BLOCKS, 0, but)}
inbound:
  listen: 127.0.0.1:${port}
  mtls: strict
  local: 127.0.0.1:${local}
  default_intention: deny
  intentions:
    - { from: caller, to: echo, action: allow }
  queue: ${queue}${isPlain || but === RATE_LIMITS ? '' : limits}
  routes:
    - { methods: ["${PATHS.unary}"], kind: unary }
    - { methods: ["${PATHS.stream}"], kind: streaming }
`;
}

/** The `identity` block as YAML. */
export function identityBlock(certs: string, service: string): string {
  return `
identity:
  cert: ${certs}/${service}.crt
  key: ${certs}/${service}.key
  roots: ${certs}/roots.crt
`;
}
