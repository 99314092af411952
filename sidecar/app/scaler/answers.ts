import type { Endpoint } from '../../cluster/endpoint.js';
import {
  readMetricsRequest,
  readScaledObject,
  ScalerMethod,
  writeIsActive,
  writeMetricSpec,
  writeMetricValue,
} from '../../codec/external-scaler.js';
import { unframed } from '../../codec/grpc-message.js';
import { labelOf } from '../../config/codecs/address.js';
import { REPORT_MAX_AGE_MS } from '../../core/balancing/reported-load.js';
import { Status } from '../../core/outcome/status.js';
import {
  isActive,
  readTrigger,
  type SaidWork,
  type Trigger,
  workOf,
} from '../../core/scaling/waiting-work.js';
import { isReplica, type Uncounted } from '../../discovery/snapshot.js';
import type { UpstreamState } from '../../outbound/upstream-state.js';

/** A message, or a status other than OK with its words. */
export type ScalerAnswer = Buffer | { readonly status: number; readonly why: string };

/** A report counts for so many intervals, where that is longer than it counts for calls. */
const COUNTED_INTERVALS = 3;

/** Every path that is answered. */
const PATHS: ReadonlySet<string> = new Set(Object.values(ScalerMethod));

/** A pod that is not ready for longer than this may as well be gone, ms. */
const VANISHED_MS = 300_000;

/** The endpoints of an upstream, when it last had any. */
interface LastSize {
  /** Those that were there; 0 if all of them were idle. */
  readonly replicas: number;
  /** Monotonic. */
  readonly atMs: number;
}

/** By the name of the upstream. */
export type LastSizes = Map<string, LastSize>;

/** What a scaler answers from. */
export interface ScalerSources {
  readonly upstreams: readonly UpstreamState[];
  /** What the endpoints of an upstream do not say of its replicas; undefined: they say it all. */
  uncounted(upstream: string): Uncounted | undefined;
  /** Kept from one question to the next. */
  readonly sizes: LastSizes;
}

/**
 * What KEDA asks of an external scaler, answered from what the endpoints have reported.
 * @param body the request, with the prefix of its message.
 */
export function answerScaler(
  path: string,
  body: Buffer,
  { upstreams, uncounted, sizes }: ScalerSources,
  nowMs: number,
): ScalerAnswer {
  if (!PATHS.has(path)) return { status: Status.UNIMPLEMENTED, why: `no method ${path.slice(0, 100)}` };
  const message = unframed(body);
  const read = path === ScalerMethod.metrics ? readMetricsRequest : readScaledObject;
  const metadata = message && read(message);
  if (metadata === undefined)
    return { status: Status.INVALID_ARGUMENT, why: 'the request cannot be read as a message of KEDA' };
  const trigger = readTrigger(metadata);
  if (typeof trigger === 'string') return { status: Status.INVALID_ARGUMENT, why: trigger };
  const upstream = upstreams.find(({ name }) => name === trigger.service);
  if (upstream === undefined)
    return { status: Status.NOT_FOUND, why: `no upstream ${trigger.service.slice(0, 100)} here` };
  const name = metricNameOf(trigger);
  if (path === ScalerMethod.metricSpec) return writeMetricSpec(name, trigger.target);
  const { why: whyUncounted, replicas = 0 } = uncounted(upstream.name) ?? {};
  const own = [...saidBy(upstream, nowMs), ...nothingOf(replicas)];
  const unknownClusters = upstream.clusters.filter(({ isKnown }) => !isKnown).length;
  const said = [...withVanished(upstream, own, sizes, nowMs), ...nothingOf(unknownClusters)];
  const held = upstream.breaker.waitingCalls;
  const unknown = whyUnknown(upstream, trigger, { said: own, held, whyUncounted, unknownClusters });
  if (unknown !== null) return unknown;
  return path === ScalerMethod.metrics
    ? writeMetricValue(name, workOf(trigger, said, held))
    : writeIsActive(isActive(trigger, said, held));
}

/** As names in Kubernetes are: in lower case, with dashes. */
function metricNameOf({ service, by }: Trigger): string {
  return `outrider-${service}-${by.replace('_', '-')}`;
}

/**
 * What each replica has said of its work, of those that discovery still knows. An endpoint without a connection may be gone: its last report
 * does not count for longer than for calls. Endpoints that are no Outriders, or beyond `pool.max_endpoints`, are replicas that say nothing.
 */
function saidBy({ clusters, config }: UpstreamState, nowMs: number): readonly (SaidWork | null)[] {
  const maxAgeMs = Math.max(REPORT_MAX_AGE_MS, COUNTED_INTERVALS * config.loadReports.intervalMs);
  const byAddress = new Map<string, SaidWork | null>();
  for (const { endpoints, config: found } of clusters) {
    for (const { label, isGone, config: each, critical, reported, pool } of endpoints) {
      if (isGone || !isReplica(each)) continue;
      const said = reported?.saidAt(nowMs, pool.isConnected ? maxAgeMs : REPORT_MAX_AGE_MS) ?? null;
      const isUnready = critical !== '';
      if (said !== null) byAddress.set(label, isUnready ? { ...said, isUnready } : said);
      else if (!byAddress.has(label)) byAddress.set(label, null);
    }
    if (found.endpoints.length <= endpoints.length) continue;
    for (const each of found.endpoints) {
      const label = labelOf(each.address);
      if (isReplica(each) && !byAddress.has(label)) byAddress.set(label, null);
    }
  }
  return [...byAddress.values()];
}

/** Of so many replicas. */
function nothingOf(replicas: number): readonly null[] {
  return Array.from({ length: replicas }, () => null);
}

/**
 * DNS has no address of a service that was scaled to 0, nor of one none of whose replicas is ready. So replicas that it has lost still
 * count, as ones of which nothing is known, for as long as a replica may need to be ready again. Idle ones do not: they are what a scale to
 * 0 takes away, and the first call after it is no reason for all of them.
 */
function withVanished(
  { name, config }: UpstreamState,
  said: readonly (SaidWork | null)[],
  sizes: LastSizes,
  nowMs: number,
): readonly (SaidWork | null)[] {
  const last = sizes.get(name);
  if (said.length > 0) {
    sizes.set(name, { replicas: replicasIfLost(said) ?? last?.replicas ?? said.length, atMs: nowMs });
    return said;
  }
  if (config.dns === undefined || last === undefined || nowMs - last.atMs >= VANISHED_MS) return said;
  return nothingOf(last.replicas);
}

/**
 * How many of these count once DNS has lost them. Undefined: as before, as those that had nothing to do say nothing any more. So they do while
 * they end, before DNS tells of it.
 */
function replicasIfLost(said: readonly (SaidWork | null)[]): number | undefined {
  if (said.some((each) => each !== null && each.calls > 0)) return said.length;
  return said.includes(null) ? undefined : 0;
}

/** Endpoints that are there, without those of failover targets. */
function ownEndpointsOf({ clusters }: UpstreamState): readonly Endpoint[] {
  return clusters.flatMap(({ endpoints }) =>
    endpoints.filter(({ isGone, config }) => !isGone && config.isFailover !== true),
  );
}

/** Replicas that are alive and not ready have no calls, which says nothing of the calls that there are for them. */
function isNoneReady(upstream: UpstreamState): boolean {
  const all = ownEndpointsOf(upstream);
  return all.length > 0 && all.every(({ critical }) => critical !== '');
}

/** Of endpoints that are not asked, as Consul does not show that they are Outriders. */
function whyUnasked(upstream: UpstreamState): string {
  const count = ownEndpointsOf(upstream).filter(({ isForeign, isEnding }) => isForeign && !isEnding).length;
  if (count === 0) return '';
  return `; ${count} ${count === 1 ? 'is' : 'are'} not asked: found no metadata outrider in Consul`;
}

/** What an answer goes by. */
interface Facts {
  readonly said: readonly (SaidWork | null)[];
  /** Calls that wait here for any replica at all. */
  readonly held: number;
  /** Why nobody knows how many replicas there are. */
  readonly whyUncounted: string | undefined;
  /** Of these discovery has said nothing yet. Each counts for one replica of which nothing is known, beside clusters that report. */
  readonly unknownClusters: number;
}

/**
 * Where nothing can be said: KEDA then leaves the number of replicas as it is. Calls that wait here for any replica at all are always a
 * reason for one.
 */
function whyUnknown(
  upstream: UpstreamState,
  { by }: Trigger,
  { said, held, whyUncounted, unknownClusters }: Facts,
): ScalerAnswer | null {
  const { name, config } = upstream;
  if (config.tls !== 'mesh' || config.loadReports.intervalMs === 0) {
    const why = `the endpoints of ${name} are not asked for their load; expected tls: mesh, and load_reports.interval`;
    return { status: Status.FAILED_PRECONDITION, why };
  }
  const known = said.filter((each) => each !== null);
  if (unknownClusters > 0 && known.length === 0)
    return { status: Status.UNAVAILABLE, why: `the endpoints of ${name} are not known yet` };
  // Calls that wait here say nothing of the replicas that cannot be seen: their number alone could take most of them away.
  if (whyUncounted !== undefined)
    return { status: Status.UNAVAILABLE, why: `the replicas of ${name} are not known: ${whyUncounted}` };
  if (held === 0 && said.length === 0 && config.dns !== undefined) {
    const why = `DNS has no address of ${name}: it has no replica, or none is ready; upstreams.${name}.kubernetes would tell which`;
    return { status: Status.UNAVAILABLE, why };
  }
  if (held === 0 && isNoneReady(upstream))
    return { status: Status.UNAVAILABLE, why: `no endpoint of ${name} is ready` };
  if (said.length > 0 && known.length === 0) {
    const why = `none of ${said.length} endpoints of ${name} reports its load${whyUnasked(upstream)}`;
    return { status: Status.UNAVAILABLE, why };
  }
  if (by === 'waiting_tokens' && known.length > 0 && known.every(({ waitingTokens }) => waitingTokens < 0)) {
    const why = `the endpoints of ${name} do not count tokens; expected inbound.engine in their sidecar files`;
    return { status: Status.FAILED_PRECONDITION, why };
  }
  return null;
}
