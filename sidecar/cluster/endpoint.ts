import { labelOf } from '../config/codecs/address.js';
import type { Address, EndpointConfig, PoolConfig } from '../config/model.js';
import { EndpointLoad } from '../core/balancing/balancer.js';
import type { SlowStart } from '../core/balancing/slow-start.js';
import type { EndpointForesight } from '../core/foresight/endpoint-foresight.js';
import { DETECTORS, Detector } from '../core/outlier/detectors.js';
import { Ejection } from '../core/outlier/ejection.js';
import type { EjectionPool } from '../core/outlier/ejection-pool.js';
import type { MethodList } from '../core/routing/method-kinds.js';
import { EngineSilence } from '../core/stats/engine-silence.js';
import { SerialWait } from '../core/stats/serial-wait.js';
import { StreamPace } from '../core/stats/stream-pace.js';
import { Readiness } from '../http2/constants.js';
import type { Pool, PoolOptions } from '../transport/pool.js';

/** An ejection that knows its endpoint. */
export class EndpointEjection extends Ejection {
  constructor(readonly endpoint: Endpoint) {
    super();
  }

  override utilizationAt(nowMs: number): number | undefined {
    return this.endpoint.reported?.meanUtilizationAt(nowMs);
  }
}

/** What a connection has to reach: the mesh service, in a datacenter when one is named. */
export interface Peer {
  readonly service: string;
  readonly datacenter?: string;
  readonly subset?: string;
}

/** One endpoint of a cluster: what balancing and ejection know of it, and its connections. */
export class Endpoint extends EndpointLoad {
  readonly address: Address;
  readonly peer: Peer;
  /** As it was said last, by the file or by discovery. */
  config: EndpointConfig;
  id = '';
  priority = 0;
  /** Where it is; empty: elsewhere. */
  locality = '';
  /** Its proxy is known to be no Outrider. */
  isForeign = false;
  /** When a load report in trailers was last read, monotonic ms. */
  reportReadMs = Number.NEGATIVE_INFINITY;
  /** The models that it says it has; null: it says nothing of them. */
  models: readonly string[] | null = null;
  /** The versions that it has, by model; null, and for models that are not in it: it may have any. */
  versions: Readonly<Record<string, readonly string[]>> | null = null;
  /** The methods of its service, as it says them; null: it has not said them. */
  described: MethodList | null = null;
  /** Why Consul reports it as critical; empty: it does not. */
  critical = '';
  /** The registry says that it ends: no replica counts on it any more. */
  isEnding = false;
  readonly ejection: EndpointEjection = new EndpointEjection(this);
  /** The ejections of its priority. Set when it joins that. */
  ejections!: EjectionPool;
  /** Set right after construction: the pool reports to the cluster, which owns both. */
  pool!: Pool;
  /** What its connections keep to; may change while they stand. */
  limits!: PoolOptions & { config: PoolConfig };
  /** Connections are kept, not only made when a call needs one. */
  isPrepared = false;
  /** They are about to be made, after those of others. */
  isQueued = false;
  /** Among the first endpoints that were known, and neither reached nor missed so far. */
  isNew = false;
  /** Discovery took it away. */
  isGone = false;
  attempts = 0;
  /** By `Outcome`. */
  readonly outcomes = new Float64Array(6);
  availableSinceMs = 0;
  isConnected = false;
  /** What its sidecar says of the model behind it. */
  readiness: Readiness = Readiness.serving;
  /** When it last came back, or became well again. */
  backSinceMs = Number.NEGATIVE_INFINITY;
  /** While it is new or back: how warm it is. */
  slowStart: SlowStart | null = null;
  /** What its warm peers usually need, ms, as of the last look; only kept while it warms up. 0 = unknown. */
  peerLatencyMs = 0;
  /** The same for the first message of a stream. */
  peerStreamMs = 0;
  /** Share of its calls that it lately turned away for being full, where that lowers its weight. */
  overloadFactor = 0;
  /** What its calls say of its future; null: nothing is kept. */
  foresight: EndpointForesight | null = null;
  /** What being slow leaves of its weight, where it cannot be spared. */
  slowFactor = 1;
  /** What a suspicion leaves of its weight, where the balancer goes by weights alone. */
  suspicionFactor = 1;
  /** What its locality leaves of its weight. */
  localityFactor = 1;
  /** What its health check found; empty: nothing against it. */
  unhealthy = '';
  /** It is checked, and no check has passed yet. */
  isUntested = false;
  /** So it is, and what it says is NOT_SERVING. */
  mayBeStarting = false;
  /** How much our calls wait for each other there, unary calls and streams, where its sidecar does not say it. */
  readonly serialWaits: readonly [SerialWait, SerialWait] = [new SerialWait(), new SerialWait()];
  /** How fast its streams flow; for people. */
  readonly pace = new StreamPace();
  /** Of a language-model engine; null: it has not been asked for tokens. */
  engineSilence: EngineSilence | null = null;
  /** What it runs, as its sidecar said with its last answer, or empty; null: there has been none since a connection of it changed. */
  engineModel: string | null = null;
  /** Why the last fault was one; for people. */
  lastFault = '';
  /** What was wrong with the last answer that was charged to it. */
  lastFlaw = '';

  /** What is known of its silence as a language-model engine. */
  ensureSilence(): EngineSilence {
    this.engineSilence ??= new EngineSilence();
    return this.engineSilence;
  }

  /** @param upstream the service that its certificate has to name where `config` names none. */
  constructor(config: EndpointConfig, upstream: string) {
    super();
    this.address = config.address;
    this.config = config;
    this.label = labelOf(config.address);
    this.peer = peerOf(config, upstream);
    this.configure(config);
  }

  /** What it takes of its weight has changed. */
  updateEffectiveWeight(): void {
    const warmth = this.slowStart === null ? 1 : this.slowStart.ratio;
    this.weightFactor =
      warmth * this.localityFactor * (1 - this.overloadFactor) * this.suspicionFactor * this.slowFactor;
  }

  /** What may change while its connections stay. */
  configure(config: EndpointConfig): void {
    this.config = config;
    this.id = config.id;
    this.weight = config.weight;
    this.priority = config.priority ?? 0;
    this.locality = config.locality ?? '';
    this.critical = config.critical ?? '';
    this.isEnding = config.isEnding === true;
    this.isForeign = config.isForeign === true;
    this.models = config.models ?? null;
    this.versions = config.versions ?? null;
  }

  /** Whether the same connections serve `config`, which has this address. */
  hasPeer(config: EndpointConfig, upstream: string): boolean {
    const peer = peerOf(config, upstream);
    return (
      peer.service === this.peer.service &&
      peer.datacenter === this.peer.datacenter &&
      peer.subset === this.peer.subset
    );
  }
}

function peerOf(config: EndpointConfig, upstream: string): Peer {
  return {
    service: config.service ?? upstream,
    ...(config.datacenter === undefined ? {} : { datacenter: config.datacenter }),
    ...(config.subset === undefined ? {} : { subset: config.subset }),
  };
}

/** Why it was ejected, or would have been, in one sentence. */
export function whyEjected({ ejection, lastFault, lastFlaw }: Endpoint): string {
  const { why, detector, failedProbes } = ejection;
  const isAboutFaults = Object.values(DETECTORS)[detector]!.goesByFaults;
  const shown = isAboutFaults ? lastFault : detector === Detector.invalidOutput ? lastFlaw : '';
  const last = shown === '' ? '' : `, last: ${shown}`;
  const trials =
    failedProbes === 0 ? '' : `; ${failedProbes} failed trial${failedProbes === 1 ? '' : 's'} since`;
  return `${why || 'faults in a row'}${last}${trials}`;
}
