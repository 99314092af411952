/**
 * Active health checks of the endpoints of all upstreams: who is asked, by which prober, and what came of it. Endpoints
 * that stand far down the line of priorities, and are not connected to, are left alone.
 *
 * Many endpoints are no storm: few checks begin in one turn, and those that began together part (envoy#28699: 20 000
 * checks at once starved the loop, and everyone was found dead).
 */

import type { Socket } from 'node:net';
import type { Cluster } from '../../cluster/cluster.js';
import type { Endpoint } from '../../cluster/endpoint.js';
import type { Address, UpstreamConfig } from '../../config/model.js';
import { EventLoopMonitor } from '../../runtime/process/event-loop-monitor.js';
import type { Timers } from '../../runtime/time/timers.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { Metric, Sample } from '../../telemetry/metric.js';
import { counter, gauge } from '../../telemetry/metric.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { dialPlain } from '../../transport/dial.js';
import { type Member, Prober, type ProberDeps } from './prober.js';
import { askByConnecting, askByPing, HealthCalls, type Probe, type ProbeCallback } from './probes.js';
import { RecoveryProbes } from './recovery.js';

/** Checks begun in one turn, and how long until the next. */
const AT_ONCE = 8;
const PAUSE_MS = 4;

export interface EndpointHealthOptions {
  readonly relay: DataPlaneContext;
  readonly timers: Timers;
  /** Default: plain sockets. */
  readonly connect?: (address: Address) => Socket;
}

/** The probers of one upstream's endpoints, and the configuration they were chosen by. */
interface Joined {
  readonly probers: Map<Endpoint, Prober>;
  config: UpstreamConfig;
}

export class EndpointHealth extends WheelEntry {
  private readonly configs = new Map<string, UpstreamConfig>();
  private readonly joined = new Map<Cluster, Joined>();
  private readonly probers = new Map<string, Prober>();
  private readonly keys = new Map<Prober, string>();
  private readonly calls = new Map<Prober, HealthCalls>();
  private readonly loopWatch: EventLoopMonitor;
  private readonly ties: ProberDeps;
  private readonly recoveries: RecoveryProbes;
  private queue: Prober[] = [];
  private begun = 0;

  constructor(private readonly options: EndpointHealthOptions) {
    super();
    const { relay, timers } = options;
    this.recoveries = new RecoveryProbes(relay);
    this.loopWatch = new EventLoopMonitor(relay.clock, timers, {
      isBusy: () => [...this.probers.values()].some(({ isAsking }) => isAsking),
    });
    this.ties = {
      relay,
      loopWatch: this.loopWatch,
      enqueue: (prober) => this.enqueue(prober),
      ask: (prober, hear) => this.ask(prober, hear),
    };
  }

  /** What the file says of an upstream now. To be told before the upstream itself is. */
  configure(config: UpstreamConfig): void {
    this.configs.set(config.name, config);
  }

  /** Follows the endpoints of a new upstream, or cluster of one. */
  follow(upstream: Cluster): void {
    upstream.onChange = (changed) => this.look(changed);
    this.look(upstream);
  }

  /** The upstream is gone, with all its clusters. */
  forget(name: string): void {
    this.configs.delete(name);
    this.recoveries.forget(name);
    for (const upstream of [...this.joined.keys()]) if (upstream.name === name) this.leaveAll(upstream);
  }

  stop(): void {
    this.configs.clear();
    for (const upstream of [...this.joined.keys()]) this.leaveAll(upstream);
    this.recoveries.stop();
    this.queue = [];
    this.options.relay.wheel.cancel(this);
    this.loopWatch.rest();
  }

  /** Endpoints or connections changed. */
  private look(upstream: Cluster): void {
    if (this.joined.size > 0) this.leaveRetired();
    const config = this.configs.get(upstream.name);
    if (config !== undefined && !upstream.isRetired) this.recoveries.look(upstream, config);
    if (config?.health === undefined || upstream.isRetired) return this.leaveAll(upstream);
    let joined = this.joined.get(upstream);
    if (joined === undefined) {
      joined = { probers: new Map(), config };
      this.joined.set(upstream, joined);
    }
    for (const endpoint of [...joined.probers.keys()])
      if (endpoint.isGone) this.leave(joined.probers, endpoint);
    const isChanged = joined.config !== config;
    joined.config = config;
    for (const endpoint of upstream.endpoints) {
      if (!endpoint.isPrepared) continue;
      const prober = joined.probers.get(endpoint);
      if (prober === undefined || isChanged) this.join(joined, { upstream, endpoint });
      joined.probers.get(endpoint)!.look();
    }
  }

  private join({ probers, config }: Joined, member: Member): void {
    const { endpoint } = member;
    const key = keyOf(endpoint, config);
    const before = probers.get(endpoint);
    if (before !== undefined && this.keys.get(before) === key) return;
    this.leave(probers, endpoint);
    let prober = this.probers.get(key);
    if (prober === undefined) {
      prober = this.makeProber(endpoint, config);
      this.probers.set(key, prober);
      this.keys.set(prober, key);
    }
    prober.join(member);
    probers.set(endpoint, prober);
  }

  private makeProber({ address }: Endpoint, { name, tls, health }: UpstreamConfig): Prober {
    const prober = new Prober(health!, address, this.ties);
    if (health!.kind === 'grpc') {
      const scheme = tls === 'mesh' ? 'https' : 'http';
      this.calls.set(prober, new HealthCalls({ ...health!, scheme, authority: name }));
    }
    return prober;
  }

  private leave(probers: Map<Endpoint, Prober>, endpoint: Endpoint): void {
    const prober = probers.get(endpoint);
    probers.delete(endpoint);
    if (prober?.leave(endpoint) !== true) return;
    this.probers.delete(this.keys.get(prober)!);
    this.keys.delete(prober);
    this.calls.delete(prober);
  }

  private leaveAll(upstream: Cluster): void {
    const joined = this.joined.get(upstream);
    if (joined === undefined) return;
    this.joined.delete(upstream);
    for (const endpoint of [...joined.probers.keys()]) this.leave(joined.probers, endpoint);
  }

  private leaveRetired(): void {
    for (const upstream of this.joined.keys()) if (upstream.isRetired) this.leaveAll(upstream);
  }

  // ---- asking ----

  private enqueue(prober: Prober): void {
    this.queue.push(prober);
    if (this.begun < AT_ONCE) this.beginNext();
    if (!this.isScheduled) this.options.relay.wheel.add(this, this.options.relay.clock.now() + PAUSE_MS);
  }

  /** A new turn. */
  fire(): void {
    this.begun = 0;
    this.leaveRetired();
    while (this.begun < AT_ONCE && this.queue.length > 0) this.beginNext();
    if (this.begun > 0) this.options.relay.wheel.add(this, this.options.relay.clock.now() + PAUSE_MS);
  }

  private beginNext(): void {
    this.begun++;
    this.queue.shift()?.begin();
  }

  private ask(prober: Prober, hear: ProbeCallback): Probe | undefined {
    const { check, address, members } = prober;
    const { relay, connect = dialPlain } = this.options;
    if (check.kind === 'tcp') return askByConnecting(connect(address), hear);
    const now = relay.clock.now();
    for (const { endpoint } of members) {
      const { pool } = endpoint;
      if (!pool.isConnected) continue;
      const calls = this.calls.get(prober);
      const question =
        calls === undefined ? askByPing(pool, now, hear) : calls.ask(pool, now, prober.timeoutMs, hear);
      if (question !== undefined) return question;
    }
    return undefined;
  }

  // ---- reports ----

  metrics(): Metric[] {
    if (this.probers.size === 0) return this.recoveries.metrics();
    const checks: Sample[] = [];
    const healthy: Sample[] = [];
    const seconds: Sample[] = [];
    const timeouts: Sample[] = [];
    for (const prober of this.probers.values()) {
      for (const upstream of new Set(prober.members.map((member) => member.upstream.name))) {
        const labels = { upstream, endpoint: prober.members[0]!.endpoint.label };
        for (const [result, value] of Object.entries(prober.counts))
          checks.push({ labels: { ...labels, result }, value });
        healthy.push({ labels, value: prober.health.isHealthy ? 1 : 0 });
        if (prober.timeoutMs > 0) timeouts.push({ labels, value: prober.timeoutMs / 1000 });
        if (prober.answerMs > 0) seconds.push({ labels, value: prober.answerMs / 1000 });
      }
    }
    return [
      counter(
        'outrider_health_checks_total',
        'Checks of endpoints by what came of them. void: the connection went, or our own process stood still; skipped: calls had shown as much.',
        checks,
      ),
      gauge('outrider_endpoint_healthy', '0 while the health check speaks against the endpoint.', healthy),
      gauge('outrider_health_check_seconds', 'How long the last answer to a check took.', seconds),
      gauge(
        'outrider_health_check_timeout_seconds',
        'How long the last answer to a check was waited for at most.',
        timeouts,
      ),
      ...this.recoveries.metrics(),
    ];
  }
}

/** The same for all who ask the same of the same peer. */
function keyOf({ label, peer }: Endpoint, { tls, health }: UpstreamConfig): string {
  return JSON.stringify([label, peer.service, peer.datacenter, peer.subset, tls, health]);
}
