/** Options that change how much there is of something, or say what is so anyway, and parts of files for engines and telemetry. */
import type { Dice } from '../dice.js';
import { COLLECTOR, COLLECTOR_FAULTS, type FaultPlan, type ReplicaPlan } from './plan.js';

type Has = (feature: string) => boolean;

/** Where a sidecar sends its metrics and traces. */
export function telemetryOf(dice: Dice, has: Has): object {
  const collector = (own: Dice): object => {
    const protocol = own.pick(['grpc', 'http/protobuf']);
    const port = protocol === 'grpc' ? COLLECTOR.grpc : COLLECTOR.http;
    return {
      ...{ endpoint: `http://${COLLECTOR.host}:${port}`, protocol },
      ...{ headers: { authorization: 'k' }, attributes: { 'deployment.environment.name': 'sim' } },
    };
  };
  const [metrics, traces] = [dice.of('metrics'), dice.of('traces')];
  return {
    ...(has('collector') && has('metrics-export') && metrics.chance(0.8)
      ? { metrics: { ...collector(metrics), interval: metrics.pick(['2s', '6s', '15s']) } }
      : {}),
    ...(has('collector') && has('traces') && traces.chance(0.8)
      ? {
          traces: {
            ...collector(traces),
            sample: traces.pick([0, 0.1, 1]),
            parent: traces.pick(['follow', 'ignore']),
            errors_per_second: traces.pick(['none', 10]),
            request_ids: traces.pick(['traced', 'all']),
          },
        }
      : {}),
  };
}

export function collectorFaults(dice: Dice, has: Has, forMs: number): FaultPlan[] {
  return COLLECTOR_FAULTS.filter(has).map((kind): FaultPlan => {
    const own = dice.of(kind);
    const atMs = Math.round(own.next() * forMs * 0.8);
    const amount =
      kind === 'collector-slow'
        ? own.logBetween(50, 15_000)
        : kind === 'collector-partial'
          ? own.logBetween(1, 500)
          : own.between(0, 3);
    return { kind, atMs, untilMs: Math.min(forMs, atMs + own.logBetween(500, 15_000)), target: '', amount };
  });
}

/** What is said of the whole sidecar. */
export function saidOf(dice: Dice, has: Has): object {
  if (!has('said-options')) return {};
  return {
    drain_timeout: '30s',
    log: { level: dice.pick(['debug', 'info', 'warn', 'error']) },
    fault_injection: dice.of('faults').pick([true, false, 'processes']),
  };
}

/** Bounds far above what peers of a simulation do. */
export function roomyLimits(has: Has): object {
  if (!has('said-options')) return {};
  const many = 100_000;
  return {
    ...{ max_connections: 1_000, max_header_bytes: '256KiB', max_header_fields: 500 },
    ...{ handshake_timeout: '30s', handshakes_per_second: many },
    frames_per_second: {
      ...{ pings: many, resets: many, settings: many, window_updates: 10 * many },
      ...{ empty: many, ignored: many, violations: many },
    },
  };
}

/** Of the queue: what an engine says, tokens, and for how long and by whom classes may be used. */
export function queueOf(dice: Dice, has: Has, isEngine: boolean): object {
  const counts = isEngine && has('token-queue');
  const limit = {
    model: 'digits',
    version: '1',
    concurrency: 4,
    max_waiting: 4_096,
    max_waiting_bytes: '64MiB',
  };
  return {
    ...(has('said-options') && has('rollout') && !isEngine && !has('engines') ? { models: [limit] } : {}),
    ...(has('said-options') && isEngine && !counts ? { cost: 'calls' } : {}),
    ...(isEngine && has('auto-queue') ? { concurrency: 'auto' } : {}),
    ...(counts ? { cost: 'tokens', max_waiting_tokens: dice.of('tokens').pick([2_000, 262_144]) } : {}),
    ...(has('said-options') ? { max_waiting_bytes: '64MiB' } : {}),
  };
}

export function priorityOf(has: Has): object {
  const isNamed = has('said-options') && has('rollout') && !has('engines');
  return {
    ...(isNamed ? { models: [{ model: 'digits', class: 'batch' }] } : {}),
    ...{ key: 'x-class', classes: ['interactive', 'batch'] },
    ...(has('said-options') ? { default_class: 'batch' } : {}),
    ...(has('class-callers') ? { callers: [{ class: 'interactive', callers: ['app1'] }] } : {}),
    ...(has('class-waits') ? { max_wait: ['none', '1s'] } : {}),
  };
}

/** At the side of a model that is an engine. */
export function engineOf(dice: Dice, has: Has): object {
  const own = dice.of('engine');
  return {
    engine: 'vllm',
    ...(has('engine-models') ? { engine_model: own.of('model').pick(['m1', 'm1', 'm2']) } : {}),
    ...(has('token-queue') ? { default_max_tokens: own.pick([100, 4_096]) } : {}),
  };
}

/** What a replica says of its load. */
export function loadReportOf(dice: Dice, has: Has): object {
  if (!has('other-reports')) return {};
  return { load_report: { trailers: dice.chance(0.5), out_of_band: dice.chance(0.7) } };
}

/** More of an upstream. */
export function upstreamOf(dice: Dice, has: Has): object {
  const own = dice.of('more');
  return {
    ...(has('other-reports')
      ? { load_reports: { interval: own.pick(['100ms', '3s', 'none']), forward: own.chance(0.5) } }
      : {}),
    ...(has('health-checks') ? { health: healthOf(own.of('health')) } : {}),
    ...(has('foresight') ? { foresight: { mode: own.pick(['enforce', 'observe', 'off']) } } : {}),
    ...(has('said-options') ? { tls: 'mesh' } : {}),
  };
}

function healthOf(dice: Dice): object {
  const kind = dice.pick(['grpc', 'ping', 'tcp']);
  return {
    ...{ kind, interval: dice.pick(['1s', '3s']) },
    ...(kind === 'grpc' && dice.chance(0.5) ? { service: '' } : {}),
    ...(dice.chance(0.5) ? { timeout: '400ms', unhealthy_threshold: 3, healthy_threshold: 2 } : {}),
  };
}

/** When an endpoint is ejected, and for how long. */
export function ejectionOf(dice: Dice, has: Has): object {
  const own = dice.of('ejection');
  return {
    ...{ base: '1s', max: '10s' },
    ...(has('said-options')
      ? {
          mode: own.pick(['enforce', 'enforce', 'observe']),
          consecutive_faults: own.pick([3, 5, 8]),
          jitter: own.pick([0, 0.3]),
        }
      : {}),
    ...(has('detectors') ? { detectors: detectorsOf(own, has('said-options')) } : {}),
  };
}

function detectorsOf(own: Dice, isSaid: boolean): object {
  const mode = 'enforce';
  if (!isSaid)
    return { success_ratio: { mode }, success_rate: { mode }, failure_ratio: { mode }, latency: { mode } };
  const min_calls = own.pick([5, 20]);
  const some = (name: string): string => own.of(name).pick(['enforce', 'enforce', 'observe', 'off']);
  return {
    consecutive: { mode: some('consecutive') },
    model_unavailable: { mode: some('model unavailable') },
    success_ratio: { mode: some('success ratio'), below: 0.7, min_calls },
    success_rate: { mode: some('success rate'), factor: 1.5, min_peers: 2, min_calls },
    failure_ratio: { mode: some('failure ratio'), above: 0.6, min_peers: 2, min_calls },
    latency: { mode: some('latency'), factor: 4, min_calls },
    invalid_output: { mode: some('invalid output'), above: 0.5, min_samples: 5, sample_ratio: 0.5 },
    short_lived: { mode: some('short lived'), min_connections: 3 },
  };
}

export function slowStartOf(has: Has): object {
  return {
    max: '5s',
    ...(has('said-options') ? { min_ratio: 0.2, converged_factor: 1.5, min_calls: 10 } : {}),
  };
}

export function coldStartOf(has: Has): object {
  return { wait: '3s', ...(has('said-options') ? { max_waiting: 1_000 } : {}) };
}

export function breakerOf(dice: Dice, has: Has): object {
  const max_in_flight = dice.pick([16, 64]);
  const more = has('said-options')
    ? { max_connections: 'none', max_retries: dice.of('retries').pick([4, 64]) }
    : {};
  return { max_in_flight, max_pending: 16, ...more };
}

export function poolOf(has: Has): object {
  return {
    ...(has('two-connections') ? { connections: 2 } : {}),
    ...(has('max-age') ? { max_age: '5s' } : {}),
    ...(has('quick-pings') ? { ping_interval: '1s', ping_timeout: '2s' } : {}),
    ...(has('said-options') ? { connect_timeout: '5s', max_endpoints: 100 } : {}),
  };
}

/** Where calls are preferred at the place of their caller. */
export function localityOf(has: Has): object {
  return has('zones') ? { locality: { own: 'a', spill_below: 0.7 } } : {};
}

/** An endpoint of a file: its address alone where there is no more to say of it. */
export function endpointOf(address: string, name: string, isIdle: boolean, has: Has): string | object {
  const more = {
    ...(isIdle ? { weight: 0 } : {}),
    ...(has('zones') ? { locality: Number(name.slice(1)) % 2 === 1 ? 'a' : 'b' } : {}),
    ...(has('zones') ? { id: name } : {}),
  };
  return Object.keys(more).length === 0 ? address : { address, ...more };
}

/** Time limits at the side of the model; what may be repeated there after a kill of its process. */
export function inboundRoutes(has: Has, service: string, inference: readonly object[]): object[] {
  const said = has('said-options');
  const times = said ? { timeout: 'none', max_timeout: '10m' } : {};
  return [
    ...(said ? [{ methods: [`${service}/Safe`], kind: 'unary', idempotent: true, ...times }] : []),
    { methods: [`${service}/Unary`, ...(said ? [] : [`${service}/Safe`])], kind: 'unary', ...times },
    ...inference,
    { methods: ['*'], kind: 'streaming', ...(said ? { idle_timeout: '60s', drain_timeout: '30s' } : {}) },
  ];
}

/** More of Consul's block. */
export function moreConsul(has: Has, name: string): object {
  return {
    ...(has('said-options')
      ? { grace: '60s', max_answer: '16MiB', intentions: true, locality: { region: 'region', zone: 'zone' } }
      : {}),
    ...(has('consul-cache') ? { cache: { dir: `/sim/${name}/consul`, keys: false } } : {}),
    ...(has('said-options') && has('self-registration')
      ? {
          registration: {
            tags: ['sim'],
            meta: { of: 'sim' },
            deregister_after: '1h',
            propagation: '2s',
            weights: { passing: 1, warning: 1 },
          },
        }
      : {}),
  };
}

/** How an engine answers when it is asked what it runs, and how models report their load in trailers. */
export function saysOf(dice: Dice, has: Has): Pick<ReplicaPlan, 'slots' | 'loads' | 'report'> {
  const answers = ['known', 'known', 'unknown', 'refused', 'garbage'] as const;
  return {
    ...(has('reticent-engines')
      ? { slots: dice.of('slots').pick(answers), loads: dice.of('loads').pick(answers) }
      : {}),
    ...(has('model-reports') ? { report: dice.of('report').pick(['binary', 'text', 'garbage']) } : {}),
  };
}

/** By what the ring of an upstream is asked. */
export function hashedOn(dice: Dice, has: Has): object {
  if (!has('said-options')) return { key: 'x-session' };
  const spill = { spill_above: 1.5 };
  return has('rollout')
    ? { hash_on: { model: true }, ...spill }
    : { key: 'x-session', ...(dice.chance(0.5) ? spill : {}) };
}

/** Everybody may call, and a service that is not there may not. */
export function intentionsOf(has: Has, to: string): object {
  const all = { from: '*', to, action: 'allow' };
  if (!has('said-options')) return { intentions: [all] };
  return { intentions: [all, { from: 'nobody', to, action: 'deny' }], default_intention: 'deny' };
}
