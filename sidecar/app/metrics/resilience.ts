import { BREAKER_LIMITS } from '../../core/retry/circuit-breaker.js';
import { HEDGE_REFUSALS } from '../../core/retry/hedging.js';
import type { MethodState } from '../../outbound/method-state.js';
import type { Outbound } from '../../outbound.js';
import type { Metric } from '../../telemetry/metric.js';
import { counter, gauge } from '../../telemetry/metric.js';
import { metricsOver } from './rows.js';

/** One method of one upstream. */
interface Row {
  readonly labels: Record<string, string>;
  readonly state: MethodState;
}

/** Metrics of hedging, fallbacks, circuit breakers and crashed attempts. */
export function resilienceMetrics(outbounds: readonly Outbound[]): Metric[] {
  return [
    ...hedgeMetrics(rowsOf(outbounds)),
    ...fallbackMetrics(outbounds),
    ...breakerMetrics(outbounds),
    counter(
      'outrider_crashed_attempts_total',
      'Attempts that ran in a model process as it crashed: they are not tried again. Requests that were in two crashes are refused for a while (outrider_local_replies_total, reason poison).',
      outbounds.map(({ name, poison }) => ({ labels: { upstream: name }, value: poison.crashes })),
    ),
  ];
}

function rowsOf(outbounds: readonly Outbound[]): Row[] {
  return outbounds.flatMap(({ name, methodStates }) =>
    [...methodStates.all].map((state) => ({ labels: { upstream: name, method: state.stats.method }, state })),
  );
}

function hedgeMetrics(rows: readonly Row[]): Metric[] {
  const hedging = rows.filter(({ state }) => state.hedging !== null);
  const perMethod = metricsOver(hedging, ({ labels }) => labels);
  const refused = perMethod.by('reason', HEDGE_REFUSALS, ({ state }, reason) => state.hedge.refused[reason]);
  return [
    perMethod.counter(
      'outrider_hedges_total',
      'Second copies sent of calls that were late.',
      ({ state: { hedge } }) => hedge.sent,
    ),
    perMethod.counter(
      'outrider_hedges_won_total',
      'Second copies that answered before the first.',
      ({ state: { hedge } }) => hedge.won,
    ),
    counter(
      'outrider_hedges_not_sent_total',
      'Late calls that got no second copy: the request is not kept (request), there is no other endpoint (endpoint), the share of calls (ratio), the retry budget (budget) or the breaker (breaker) is used up.',
      refused,
    ),
  ];
}

function fallbackMetrics(outbounds: readonly Outbound[]): Metric[] {
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
  return [
    counter(
      'outrider_degraded_answers_total',
      'Calls answered by what their route falls back to, by what that was and why.',
      degraded,
    ),
    counter(
      'outrider_degraded_declined_total',
      'Failed calls whose caller accepts no degraded answer.',
      rows.map(({ labels, state }) => ({ labels, value: state.declined })),
    ),
    gauge(
      'outrider_fallback_active',
      '1 while calls go to the fallback at once, because the primary keeps failing.',
      rows.map(({ labels, state }) => ({ labels, value: Number(state.primaryBreaker.isOpen) })),
    ),
    gauge(
      'outrider_response_cache_bytes',
      'Octets of answers kept for the same request.',
      cached.map(({ labels, bytes }) => ({ labels, value: bytes })),
    ),
    gauge(
      'outrider_response_cache_entries',
      'Answers kept for the same request.',
      cached.map(({ labels, size }) => ({ labels, value: size })),
    ),
  ];
}

function breakerMetrics(outbounds: readonly Outbound[]): Metric[] {
  const broken = outbounds.flatMap(({ name, breaker: { limits }, clusters }) =>
    limits === null ? [] : [{ labels: { upstream: name }, breaker: limits, clusters }],
  );
  const hits = broken.flatMap(({ labels, breaker, clusters }) => [
    ...BREAKER_LIMITS.map((limit) => ({ labels: { ...labels, limit }, value: breaker.hits[limit] })),
    {
      labels: { ...labels, limit: 'connections' },
      value: clusters.reduce((sum, { connectionsRefused }) => sum + connectionsRefused, 0),
    },
  ]);
  return [
    counter(
      'outrider_breaker_open_total',
      'Times a bound of the upstream was hit: calls in flight (in-flight), calls waiting (pending), extra attempts (retries), connections.',
      hits,
    ),
    gauge(
      'outrider_breaker_in_flight',
      'Calls that count against the bound of their upstream.',
      broken.map(({ labels, breaker }) => ({ labels, value: breaker.inFlight })),
    ),
  ];
}
