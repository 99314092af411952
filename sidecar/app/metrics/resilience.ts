import type { MethodState } from '../../outbound/method-state.js';
import type { UpstreamState } from '../../outbound/upstream-state.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';

/** One method of one upstream, with its states: one for each route where the method has no name of its own. */
interface Row {
  readonly labels: Record<string, string>;
  readonly states: readonly MethodState[];
}

const HEDGE_REFUSALS = ['request', 'endpoint', 'ratio', 'budget', 'breaker'] as const;

/** Metrics of hedging, fallbacks, circuit breakers and crashed attempts. */
export function resilienceMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const perUpstream = metricsOver(outbounds, ({ name }) => ({ upstream: name }));
  const keyed = outbounds.filter(({ upstream }) => upstream.hasHashParameter);
  const keyless = metricsOver(keyed, ({ name }) => ({ upstream: name })).counts(
    'reason',
    ({ parameterKeys }) => parameterKeys.keyless,
  );
  return [
    ...hedgeMetrics(outbounds),
    ...fallbackMetrics(outbounds),
    ...breakerMetrics(outbounds),
    perUpstream.metric('outrider_crashed_attempts_total', ({ poison }) => poison.crashes),
    metric('outrider_keyless_calls_total', keyless),
  ];
}

/** @param isOf the states that count. */
function rowsOf(outbounds: readonly UpstreamState[], isOf: (state: MethodState) => boolean): Row[] {
  return outbounds.flatMap(({ name, methodStates }) => {
    const byStats = new Map<MethodState['stats'], MethodState[]>();
    for (const state of methodStates.all)
      if (isOf(state)) getOrInsert(byStats, state.stats, () => []).push(state);
    return [...byStats].map(([{ method, model, version }, states]) => {
      const named = { ...(model === '' ? {} : { model }), ...(version === '' ? {} : { version }) };
      return { labels: { upstream: name, method, ...named }, states };
    });
  });
}

/** What all states of a row have counted. */
function total(read: (state: MethodState) => number): (row: Row) => number {
  return ({ states }) => states.reduce((sum, state) => sum + read(state), 0);
}

function hedgeMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const rows = rowsOf(outbounds, ({ route }) => route.config.hedge !== undefined);
  const perMethod = metricsOver(rows, ({ labels }) => labels);
  const refused = perMethod.by('reason', HEDGE_REFUSALS, (row, reason) =>
    total(({ hedgePolicy }) => hedgePolicy.refused[reason])(row),
  );
  return [
    perMethod.metric(
      'outrider_hedges_total',
      total(({ hedgePolicy }) => hedgePolicy.sent),
    ),
    perMethod.metric(
      'outrider_hedges_won_total',
      total(({ hedgePolicy }) => hedgePolicy.won),
    ),
    metric('outrider_hedges_not_sent_total', refused),
  ];
}

function fallbackMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const rows = rowsOf(outbounds, ({ route }) => route.config.fallback !== undefined);
  const degraded = rows.flatMap(({ labels, states }) => {
    const counts = new Map<string, number>();
    for (const state of states)
      for (const [key, value] of state.degraded) counts.set(key, (counts.get(key) ?? 0) + value);
    return [...counts].map(([key, value]) => {
      const [from, why] = key.split(' ') as [string, string];
      return { labels: { ...labels, from, why }, value };
    });
  });
  const cached = outbounds.flatMap(({ name, methodStates }) => {
    const caches = methodStates.responseCaches;
    if (caches.length === 0) return [];
    const sum = (read: (cache: (typeof caches)[number]) => number): number =>
      caches.reduce((total, cache) => total + read(cache), 0);
    return [{ labels: { upstream: name }, bytes: sum(({ bytes }) => bytes), size: sum(({ size }) => size) }];
  });
  const perRow = metricsOver(rows, ({ labels }) => labels);
  const perCache = metricsOver(cached, ({ labels }) => labels);
  return [
    metric('outrider_degraded_answers_total', degraded),
    perRow.metric(
      'outrider_degraded_declined_total',
      total(({ declined }) => declined),
    ),
    perRow.metric('outrider_fallback_active', ({ states }) =>
      Number(states.some(({ route, primaryBreaker }) => !route.isLeft && primaryBreaker.isOpen)),
    ),
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
