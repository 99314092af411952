/** What a run may switch on. */
import { COLLECTOR_FAULTS, CONSUL_FAULTS, DNS_FAULTS } from './plan.js';

/** What a run may switch on, and in which share of the runs it is. */
export const FEATURES = {
  // Configuration of callers.
  retry: 0.6,
  hedge: 0.25,
  // The budget of extra attempts is used up by a few.
  'small-budget': 0.2,
  mirror: 0.3,
  split: 0.15,
  'fallback-upstream': 0.2,
  'last-good': 0.2,
  breaker: 0.15,
  // More statuses are retried, and hedges go at other times.
  'more-retried': 0.25,
  'other-hedges': 0.3,
  'health-checks': 0.15,
  // Endpoints are suspected before they fail.
  foresight: 0.1,
  // Callers prefer the endpoints at their place.
  zones: 0.08,
  // Load reports at other intervals, or none; and models that have their own.
  'other-reports': 0.15,
  'model-reports': 0.2,
  // Options say what is so anyway, or a little more or less of it.
  'said-options': 0.25,
  resumable: 0.4,
  deterministic: 0.6,
  // Models go on behind the messages that the caller has, in most of the runs.
  'resuming-models': 0.5,
  // Some end a stream that they are to go on with.
  'empty-answers': 0.2,
  'attempt-timeout': 0.3,
  'first-message-timeout': 0.15,
  'idle-timeout': 0.15,
  'small-hold': 0.2,
  'small-replay': 0.3,
  'round-robin': 0.3,
  'ring-hash': 0.15,
  'two-connections': 0.2,
  'slow-start': 0.15,
  'cold-start': 0.15,
  detectors: 0.3,
  'max-age': 0.15,
  'quick-pings': 0.15,
  // Configuration of models' sidecars.
  'short-queue': 0.2,
  fair: 0.5,
  priority: 0.2,
  adaptive: 0.15,
  // Calls of a class wait for a while only.
  'class-waits': 0.3,
  'rate-limit': 0.1,
  'little-memory': 0.15,
  'few-streams': 0.2,
  // Peers.
  'several-callers': 0.4,
  // One class is for the calls of one of them.
  'class-callers': 0.3,
  'odd-peers': 0.4,
  'header-tables': 0.4,
  metadata: 0.4,
  // Some replicas compress their messages.
  encodings: 0.25,
  'tiny-windows': 0.2,
  // Some peers give credit for half of a window at once, as most implementations do.
  'late-credit': 0.4,
  'ragged-links': 0.5,
  'slow-links': 0.3,
  'small-kernels': 0.3,
  // Load.
  'large-messages': 0.3,
  bursts: 0.3,
  'mixed-durations': 0.35,
  'slow-readers': 0.3,
  'stopped-readers': 0.3,
  cancels: 0.3,
  deadlines: 0.5,
  'own-errors': 0.2,
  // Requests that no replica can work with: each says INTERNAL or UNKNOWN.
  'bad-requests': 0.15,
  overload: 0.15,
  bidi: 0.4,
  uploads: 0.3,
  streams: 0.5,
  'token-streams': 0.5,
  // Tokens of some streams have up to 12,000 bytes.
  'large-tokens': 0.3,
  // Some of these are longer than any window.
  'wide-tokens': 0.2,
  // Messages are sent in pieces with a pause between them.
  pieces: 0.25,
  // Streams whose applications say nothing for seconds.
  pauses: 0.2,
  // A few last for many seconds.
  'long-streams': 0.2,
  engines: 0.25,
  // The queue before an engine: its calls are read, as many run as the engine says, and tokens are counted.
  'engine-queue': 0.6,
  'auto-queue': 0.6,
  'token-queue': 0.3,
  // Some replicas have another model.
  'engine-models': 0.25,
  // Some engines do not say how many calls they run, or what they have to do, or say it wrongly.
  'reticent-engines': 0.3,
  // Some of its answers are drawn by chance, and in most of these runs go on in tokens of another engine.
  'drawn-answers': 0.5,
  approximate: 0.6,
  // Calls of an engine are placed by the beginning of their prompts.
  'prompt-hash': 0.5,
  // Or by what engines have of them.
  prefix: 0.3,
  // Faults.
  'kill-model': 0.2,
  'freeze-model': 0.15,
  'kill-sidecar': 0.25,
  'freeze-sidecar': 0.2,
  'freeze-caller': 0.08,
  'slow-model': 0.15,
  'failing-model': 0.15,
  'break-connection': 0.2,
  'stall-connection': 0.2,
  partition: 0.12,
  // What befalls one replica befalls all of its service, now and then.
  outages: 0.15,
  reload: 0.2,
  // Gives way to a successor: no call is lost.
  drain: 0.2,
  // A successor gets the listening sockets, and the sidecar ends once that accepts: no call is lost either.
  takeover: 0.2,
  'clock-jump': 0.15,
  // Certificates live for seconds, and are renewed in time unless a fault prevents it.
  certificates: 0.25,
  'identity-expires': 0.15,
  // Everybody believes the old root and the new one, then gets a certificate of the new one, then believes the new one alone.
  'roots-change': 0.3,
  // What sidecars write, on a disk that may be full, slow, or take a part of each write.
  'access-log': 0.3,
  audit: 0.3,
  'disk-full': 0.25,
  'disk-slow': 0.25,
  'disk-ragged': 0.25,
  // Metrics and traces go to a collector.
  collector: 0.15,
  'metrics-export': 0.7,
  traces: 0.5,
  'collector-away': 0.3,
  'collector-hangs': 0.2,
  'collector-slow': 0.3,
  'collector-refuses': 0.3,
  'collector-partial': 0.2,
  'collector-lies': 0.15,
  // A killed sidecar takes its machine along: what was not synced is lost.
  'power-loss': 0.3,
  // Replicas are found by DNS, where Consul is not.
  dns: 0.25,
  'dns-fails': 0.4,
  'dns-empty': 0.3,
  'dns-loses': 0.4,
  // A reload brings other options, or fewer endpoints.
  'other-options': 0.6,
  'fewer-endpoints': 0.3,
  // Or one of them without new calls.
  weights: 0.3,
  // Consul: where it is, replicas are found through it, and intentions are its own.
  consul: 0.35,
  'self-registration': 0.5,
  // Its replicas have versions of their model, and a second one comes.
  rollout: 0.3,
  // What Consul said last is on the disk.
  'consul-cache': 0.3,
  'consul-away': 0.3,
  'consul-hangs': 0.2,
  'consul-cut-off': 0.2,
  'consul-lags': 0.25,
  'consul-breaks': 0.3,
  'consul-no-leader': 0.2,
  'consul-no-rights': 0.2,
  'consul-loses-state': 0.2,
  'flapping-check': 0.25,
  deregister: 0.3,
  maintenance: 0.25,
  'deny-intention': 0.3,
  // Its answers are late and overtake each other. A denial is taken back, and made again a moment later.
  'consul-slow': 0.25,
} as const;
export type Feature = keyof typeof FEATURES;

/** Options that a reload changes. */
export const OPTIONS = [
  ...([
    'retry',
    'hedge',
    'small-budget',
    'mirror',
    'split',
    'fallback-upstream',
    'last-good',
    'breaker',
    'resumable',
  ] as const),
  ...(['deterministic', 'attempt-timeout', 'first-message-timeout', 'idle-timeout', 'small-hold'] as const),
  ...([
    'small-replay',
    'round-robin',
    'ring-hash',
    'prefix',
    'two-connections',
    'slow-start',
    'cold-start',
  ] as const),
  ...(['detectors', 'max-age', 'quick-pings', 'short-queue', 'fair', 'priority', 'adaptive'] as const),
  ...(['more-retried', 'other-hedges', 'health-checks', 'metrics-export', 'traces'] as const),
  'rate-limit',
] as const satisfies readonly Feature[];

/** Features that mean nothing without Consul. */
export const OF_CONSUL: ReadonlySet<string> = new Set([
  ...CONSUL_FAULTS,
  'self-registration',
  'rollout',
  'consul-cache',
]);

/** Features that mean nothing without DNS, without certificates, or where nothing is written. */
export const NEEDS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(DNS_FAULTS.map((kind) => [kind, ['dns']])),
  ...Object.fromEntries(COLLECTOR_FAULTS.map((kind) => [kind, ['collector']])),
  'metrics-export': ['collector'],
  traces: ['collector'],
  'identity-expires': ['certificates'],
  'prompt-hash': ['engines', 'ring-hash'],
  prefix: ['engines'],
  'engine-queue': ['engines'],
  'auto-queue': ['engine-queue'],
  'token-queue': ['engine-queue'],
  'engine-models': ['engine-queue'],
  'reticent-engines': ['engine-queue'],
  'more-retried': ['retry'],
  'other-hedges': ['hedge'],
  'class-waits': ['priority'],
  'class-callers': ['priority', 'several-callers'],
  'drawn-answers': ['engines'],
  approximate: ['engines', 'drawn-answers'],
  'roots-change': ['certificates'],
  'wide-tokens': ['large-tokens'],
};
