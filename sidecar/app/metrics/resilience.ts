import type { MethodState } from '../../outbound/method-state.js';
import type { UpstreamState } from '../../outbound/upstream-state.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';

/** One method of one upstream. */
interface Row {
  readonly labels: Record<string, string>;
  readonly state: MethodState;
}

/** Metrics of hedging, fallbacks, circuit breakers and crashed attempts. */
export function resilienceMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const perUpstream = metricsOver(outbounds, ({ name }) => ({ upstream: name }));
  const keyed = outbounds.filter(({ upstream }) => upstream.hasHashParameter);
  const keyless = metricsOver(keyed, ({ name }) => ({ upstream: name })).counts(
    'reason',
    ({ parameterKeys }) => parameterKeys.keyless,
  );
  return [
    ...hedgeMetrics(rowsOf(outbounds)),
    ...fallbackMetrics(outbounds),
    ...breakerMetrics(outbounds),
    perUpstream.metric('outrider_crashed_attempts_total', ({ poison }) => poison.crashes),
    metric('outrider_keyless_calls_total', keyless),
  ];
}

function rowsOf(outbounds: readonly UpstreamState[]): Row[] {
  return outbounds.flatMap(({ name, methodStates }) =>
    [...methodStates.all].map((state) => {
      const { method, model, version } = state.stats;
      const named = { ...(model === '' ? {} : { model }), ...(version === '' ? {} : { version }) };
      return { labels: { upstream: name, method, ...named }, state };
    }),
  );
}

function hedgeMetrics(rows: readonly Row[]): Metric[] {
  const hedging = rows.filter(({ state }) => state.hedgeSettings !== null);
  const perMethod = metricsOver(hedging, ({ labels }) => labels);
  const refused = perMethod.counts('reason', ({ state }) => state.hedgePolicy.refused);
  return [
    perMethod.metric('outrider_hedges_total', ({ state }) => state.hedgePolicy.sent),
    perMethod.metric('outrider_hedges_won_total', ({ state }) => state.hedgePolicy.won),
    metric('outrider_hedges_not_sent_total', refused),
  ];
}

function fallbackMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const rows = rowsOf(outbounds).filter(({ state }) => state.chain.length > 0);
  const degraded = rows.flatMap(({ labels, state }) =>
    [...state.degraded].map(([key, value]) => {
      const [from, why] = key.split(' ') as [string, string];
      return { labels: { ...labels, from, why }, value };
    }),
  );
  const cached = outbounds.flatMap(({ name, methodStates }) => {
    const caches = [...methodStates.responseCaches];
    if (caches.length === 0) return [];
    const sum = (read: (cache: (typeof caches)[number]) => number): number =>
      caches.reduce((total, cache) => total + read(cache), 0);
    return [{ labels: { upstream: name }, bytes: sum(({ bytes }) => bytes), size: sum(({ size }) => size) }];
  });
  const perRow = metricsOver(rows, ({ labels }) => labels);
  const perCache = metricsOver(cached, ({ labels }) => labels);
  return [
    metric('outrider_degraded_answers_total', degraded),
    perRow.metric('outrider_degraded_declined_total', ({ state }) => state.declined),
    perRow.metric('outrider_fallback_active', ({ state }) => Number(state.primaryBreaker.isOpen)),
    perCache.metric('outrider_response_cache_bytes', ({ bytes }) => bytes),
    perCache.metric('outrider_response_cache_entries', ({ size }) => size),
  ];
}

function breakerMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const broken = outbounds.flatMap(({ name, breaker: { limits }, clusters }) =>
    limits === null ? [] : [{ labels: { upstream: name }, breaker: limits, clusters }],
  );
  const perBreaker = metricsOver(broken, ({ labels }) => labels);
  const hits = perBreaker.counts('limit', ({ breaker, clusters }) => ({
    ...breaker.hits,
    connections: clusters.reduce((sum, { connectionsRefused }) => sum + connectionsRefused, 0),
  }));
  return [
    metric('outrider_breaker_open_total', hits),
    perBreaker.metric('outrider_breaker_in_flight', ({ breaker }) => breaker.inFlight),
  ];
}
