/** Calls that were too large for a detector, a retry, a fallback, a mirror or a comparison: counted, and said in `/endpoints`. */

import type { UpstreamState } from '../../outbound/upstream-state.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';
import type { SizeLimitReport } from '../../telemetry/reports.js';
import type { SizeReason } from '../../telemetry/size-counts.js';

/** What is said of each reason. */
const REASONS: Readonly<Record<SizeReason, string>> = {
  requestTooLarge: 'requests longer than replay',
  responseTooLarge: 'answers longer than',
  memory: 'times no room in memory_budget',
};

/** One feature of one upstream. */
interface Row {
  readonly upstream: string;
  readonly feature: string;
  /** The option that bounds its answers. */
  readonly bound: 'hold' | 'sample';
  readonly counts: Readonly<Record<SizeReason, number>>;
}

/** `outrider_size_limited_total`: absent for what never happened. */
export function sizeLimitMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const rows = outbounds.flatMap(rowsOf);
  const samples = metricsOver(rows, ({ upstream, feature }) => ({ upstream, feature })).counts(
    'reason',
    ({ counts: { requestTooLarge, responseTooLarge, memory } }) => ({
      'request-too-large': requestTooLarge,
      'response-too-large': responseTooLarge,
      memory,
    }),
  );
  return [
    metric(
      'outrider_size_limited_total',
      samples.filter(({ value }) => value > 0),
    ),
  ];
}

/** What was too large, in `/endpoints`; a feature that saw every call is left out. */
export function sizeLimitReports(outbounds: readonly UpstreamState[]): SizeLimitReport[] {
  const tooLarge = outbounds.flatMap(rowsOf).flatMap(({ upstream, feature, bound, counts }) => {
    const parts = (Object.keys(REASONS) as SizeReason[]).filter((reason) => counts[reason] > 0);
    if (parts.length === 0) return [];
    const why = parts.map((reason) => {
      const option = reason === 'responseTooLarge' ? ` ${bound}` : '';
      return `${counts[reason]} ${REASONS[reason]}${option}`;
    });
    return [{ upstream, feature, why: why.join(', ') }];
  });
  return [...tooLarge, ...outbounds.flatMap(unknownFormats)];
}

/** Answers that the inspection cannot read for their form, whatever their size. */
function unknownFormats({ name: upstream, clusters }: UpstreamState): SizeLimitReport[] {
  const count = clusters.reduce((sum, { sweep }) => sum + (sweep?.inspector?.counts.unknownFormat ?? 0), 0);
  if (count === 0) return [];
  const known = 'ModelInfer, Predict of TensorFlow Serving and Predictions of TorchServe are read';
  return [
    { upstream, feature: 'inspection', why: `${count} answers of methods whose form is not known: ${known}` },
  ];
}

/** Mirrors count what they skip by themselves, inspectors likewise: here it is put side by side. */
function rowsOf({ name: upstream, sizeLimits, clusters, trafficShift }: UpstreamState): Row[] {
  const { repeat, fallback, lastGood } = sizeLimits;
  const inspectors = clusters.flatMap(({ sweep }) => sweep?.inspector ?? []);
  const mirrors = [...trafficShift.mirrors.values()];
  const sum = (read: (row: (typeof mirrors)[number]) => number): number =>
    mirrors.reduce((total, each) => total + read(each), 0);
  return [
    { upstream, feature: 'repeat', bound: 'hold', counts: repeat },
    { upstream, feature: 'fallback', bound: 'hold', counts: fallback },
    { upstream, feature: 'last-good', bound: 'hold', counts: lastGood },
    ...inspectors.map(
      ({ unseen }): Row => ({ upstream, feature: 'inspection', bound: 'sample', counts: unseen }),
    ),
    {
      upstream,
      feature: 'mirror',
      bound: 'sample',
      counts: {
        requestTooLarge: sum(({ skipped }) => skipped['too-large']),
        responseTooLarge: 0,
        memory: sum(({ skipped }) => skipped.memory),
      },
    },
    {
      upstream,
      feature: 'comparison',
      bound: 'sample',
      counts: {
        requestTooLarge: 0,
        responseTooLarge: sum(({ notCompared }) => notCompared['too-large']),
        memory: sum(({ notCompared }) => notCompared.memory),
      },
    },
  ];
}
