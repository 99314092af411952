/**
 * What a sidecar does with an answer of Consul, from the socket to the endpoints that calls go to: agent client, blocking
 * query, parse, grace, cache file, clusters, subset. In a process of its own, flagged as a sidecar is, that watches its
 * own event loop. Nothing listens at the endpoints; for picks they are declared healthy.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { makeCluster, stopCluster } from '../../../sidecar/cluster/membership.js';
import { pick } from '../../../sidecar/cluster/picking.js';
import { Upstream } from '../../../sidecar/cluster/upstream.js';
import { parseSidecarFile } from '../../../sidecar/config/file/parse.js';
import type { SidecarConfig, UpstreamConfig } from '../../../sidecar/config/model.js';
import { CacheFile } from '../../../sidecar/discovery/consul/cache/cache-file.js';
import {
  EndpointWatcher,
  type TargetWatch,
} from '../../../sidecar/discovery/consul/catalog/endpoint-watcher.js';
import { UpstreamWatcher } from '../../../sidecar/discovery/consul/chain/upstream-watcher.js';
import { ConsulAgent } from '../../../sidecar/discovery/consul/client/client.js';
import { agentSettings } from '../../../sidecar/discovery/consul/client/settings.js';
import { QueryRegistry } from '../../../sidecar/discovery/consul/query/query-registry.js';
import type { ConsulDeps } from '../../../sidecar/discovery/consul/query/query-spec.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import { systemRandom } from '../../../sidecar/runtime/random.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { TimingWheel } from '../../../sidecar/runtime/time/timing-wheel.js';
import { deferToTurnEnd } from '../../../sidecar/runtime/time/turn-end.js';
import { NO_AUDIT } from '../../../sidecar/telemetry/audit/trail.js';
import { StatsRegistry } from '../../../sidecar/telemetry/call-stats.js';
import { containmentOf, type DataPlaneContext } from '../../../sidecar/transport/context.js';
import { FlushScheduler } from '../../../sidecar/transport/flush-scheduler.js';
import { MemoryBudget } from '../../../sidecar/transport/memory-budget.js';
import { SYSTEM_NETWORK } from '../../../sidecar/transport/network.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import { silentLogger } from '../../kit/stack/silent-logger.js';
import { LoopMeter } from './loop.js';
import type { Applied, LoopWatch, SubjectRequest } from './protocol.js';

/** What follows from an answer (the cache file, garbage) is watched too. */
const AFTERMATH_MS = 150;
const PICKS = 200_000;
const ROUNDS = 8;

const loop = new LoopMeter();

const parts = {
  clock: systemClock,
  logger: silentLogger,
  wheel: new TimingWheel(systemClock, systemTimers),
  flushes: new FlushScheduler(deferToTurnEnd, systemTimers),
  stats: new StatsRegistry(),
};
const relay: DataPlaneContext = {
  ...parts,
  containment: containmentOf(parts),
  random: systemRandom,
  audit: NO_AUDIT,
  memory: new MemoryBudget(256 * 1024 * 1024),
  connected: new Set(),
  network: SYSTEM_NETWORK,
  recorder: null,
  tracer: null,
  nowMs: systemClock.now(),
  hasStalled: () => false,
};

/** All the discovery of one sidecar. */
class Subject {
  private readonly upstream: UpstreamConfig;
  private readonly targets: EndpointWatcher;
  private readonly watches: QueryRegistry;
  private readonly deps: ConsulDeps & { readonly cache: CacheFile };
  private readonly followed = new Map<string, Followed>();
  /** Bytes and time of the last answer that was read to its end. */
  last = { bytes: 0, atMs: 0 };
  applied = 0;

  constructor(agentUrl: string, cacheDir: string) {
    const sidecar = sidecarOn(agentUrl);
    const config = sidecar.consul!;
    this.upstream = sidecar.outbound!.upstreams[0]!;
    const tools = { clock: systemClock, timers: systemTimers, random: systemRandom, logger: silentLogger };
    this.deps = { ...tools, config, cache: CacheFile.open(cacheDir, silentLogger, systemTimers) };
    const agent = new ConsulAgent(agentSettings(config, {}), systemTimers);
    const reader = {
      get: async (...asked: Parameters<ConsulAgent['get']>) => {
        const answer = await agent.get(...asked);
        this.last = { bytes: answer.body.length, atMs: performance.now() };
        return answer;
      },
    };
    this.watches = new QueryRegistry(reader, this.deps);
    const deps = { ...this.deps, agent: reader, isAnswering: () => true };
    this.targets = new EndpointWatcher(this.watches, deps);
  }

  follow(service: string): Promise<Applied> {
    this.leave(service);
    loop.reset();
    const consul = { ...this.upstream.consul!, service };
    const config: UpstreamConfig = { ...this.upstream, name: service, consul };
    const followed = new Followed(this);
    this.followed.set(service, followed);
    const first = followed.next();
    const clusters = new Upstream(config, (each, cluster) =>
      makeCluster(each, { context: relay, settings: DEFAULT_LOCAL_SETTINGS, dial: () => undefined }, cluster),
    );
    followed.clusters = clusters;
    followed.watch = new UpstreamWatcher(
      config,
      this.watches,
      this.targets,
      { ...this.deps, service: 'bench' },
      (knowledge) => clusters.apply(knowledge),
    );
    // Told after the one above, and also of changes that do not concern the endpoints it chose.
    followed.target = this.targets.watch({ service, via: 'plain' }, ({ instances }) => {
      if (instances !== undefined) followed.take(instances.length);
    });
    return first;
  }

  next(service: string): Promise<Applied> {
    loop.reset();
    return this.followed.get(service)!.next();
  }

  leave(service: string): void {
    const followed = this.followed.get(service);
    followed?.watch?.close();
    followed?.target?.close();
    for (const upstream of followed?.clusters?.all ?? []) stopCluster(upstream);
    this.followed.delete(service);
  }

  /** Nanoseconds of one pick, best of several rounds. */
  picks(service: string): number {
    const upstream = this.followed.get(service)!.clusters!.all[0]!;
    // As after some traffic: each with an estimate that fades, of another age, and with calls under way.
    upstream.active.forEach((endpoint, i) => {
      endpoint.eligible = true;
      endpoint.latency.record(5 + ((i * 7_919) % 50) / 10, performance.now() - (i % 1_000));
      endpoint.inFlight = i % 3;
    });
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS; round += 1) {
      const fromMs = performance.now();
      for (let call = 0; call < PICKS; call += 1) {
        const picked = pick(upstream, [], fromMs + call / 1000);
        if (picked === undefined) throw new Error('no endpoint was picked');
      }
      best = Math.min(best, ((performance.now() - fromMs) * 1e6) / PICKS);
    }
    return best;
  }
}

/** One upstream, and what waits for its next answer. */
class Followed {
  watch: UpstreamWatcher | undefined;
  target: TargetWatch | undefined;
  clusters: Upstream | undefined;
  private waiting: ((applied: Applied) => void)[] = [];

  constructor(private readonly subject: Subject) {}

  next(): Promise<Applied> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  take(endpoints: number): void {
    this.subject.applied += 1;
    const { bytes, atMs } = this.subject.last;
    const appliedMs = performance.now() - atMs;
    const waiting = this.waiting;
    this.waiting = [];
    if (waiting.length === 0) return;
    setTimeout(() => {
      const applied = { endpoints, bytes, appliedMs, ...loop.read(), rssMb: residentMb() };
      for (const resolve of waiting) resolve(applied);
    }, AFTERMATH_MS);
  }
}

function sidecarOn(agentUrl: string): SidecarConfig {
  const text = `service: bench
consul: { address: "${agentUrl}", rules: false, intentions: false }
outbound:
  upstreams:
    echo: { listen: "127.0.0.1:0", tls: plaintext, consul: {} }
`;
  const read = parseSidecarFile(text, 'bench.yaml');
  if (!read.ok) throw new Error(read.problems.map(({ message }) => message).join('; '));
  return read.config;
}

function residentMb(): number {
  return process.memoryUsage().rss / 1e6;
}

let subject: Subject;

async function obey(request: SubjectRequest): Promise<unknown> {
  switch (request.do) {
    case 'start':
      subject = new Subject(request.agent, request.cache);
      return residentMb();
    case 'follow':
      return subject.follow(request.service);
    case 'next':
      return subject.next(request.service);
    case 'leave':
      return subject.leave(request.service);
    case 'picks':
      return subject.picks(request.service);
    default:
      return watch(request.forMs);
  }
}

async function watch(forMs: number): Promise<LoopWatch> {
  const { applied } = subject;
  const cpu = process.cpuUsage();
  loop.reset();
  await sleep(forMs);
  const used = process.cpuUsage(cpu);
  return {
    ...loop.read(),
    cpu: (used.user + used.system) / 1000 / forMs,
    rssMb: residentMb(),
    applied: subject.applied - applied,
  };
}

answerRequests(obey);
