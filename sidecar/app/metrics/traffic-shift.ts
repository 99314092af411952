import { DIFFERENCE_BOUNDS_MS, type MirrorStats } from '../../outbound/mirror/stats.js';
import type { TrafficShift } from '../../outbound/traffic-shift.js';
import type { Metric, Sample } from '../../telemetry/metric.js';
import { histogramSample, metric, metricsOver } from '../../telemetry/metric-rows.js';
import type { MirrorReport } from '../../telemetry/reports.js';
import type { FaultController } from '../fault-controller.js';

/** An upstream and its splits and mirrors; `UpstreamState` has this shape. */
export interface ShapedUpstream {
  readonly name: string;
  readonly trafficShift: TrafficShift;
}

function countsIn(upstreams: readonly ShapedUpstream[]): MirrorStats[] {
  return upstreams.flatMap(({ trafficShift }) => [...trafficShift.mirrors.values()]);
}

/** Metrics of splits and mirrors that have been used. */
export function trafficShiftMetrics(upstreams: readonly ShapedUpstream[]): Metric[] {
  const splits = upstreams.flatMap(({ name, trafficShift }) =>
    [...trafficShift.splits].map(([to, { calls }]) => ({ labels: { upstream: name, to }, value: calls })),
  );
  const metrics = [metric('outrider_split_total', splits), ...mirrorMetrics(countsIn(upstreams))];
  return metrics.filter(({ samples }) => samples.length > 0);
}

function mirrorMetrics(mirrors: readonly MirrorStats[]): Metric[] {
  const perMirror = metricsOver(mirrors, labelsOf);
  const skipped = perMirror.counts('reason', (mirror) => mirror.skipped);
  const notCompared = perMirror.counts('reason', (mirror) => mirror.notCompared);
  const mismatched = perMirror.counts('about', (mirror) => mirror.mismatched);
  const largest = perMirror.counts('class', (mirror) => mirror.argmax);
  return [
    perMirror.metric('outrider_mirror_sent_total', ({ sent }) => sent),
    metric('outrider_mirror_skipped_total', skipped),
    perMirror.metric('outrider_mirror_compared_total', ({ compared }) => compared),
    metric('outrider_mirror_not_compared_total', notCompared),
    metric('outrider_mirror_mismatched_total', mismatched),
    metric('outrider_mirror_largest_class_total', largest),
    {
      kind: 'histogram',
      name: 'outrider_mirror_extra_seconds',
      help: 'How much longer the copy took than the call; below 0: it was faster.',
      samples: mirrors.map((counts) => {
        const { differences, differenceSumMs: sumMs } = counts;
        return histogramSample(labelsOf(counts), differences, { boundsMs: DIFFERENCE_BOUNDS_MS, sumMs });
      }),
    },
  ];
}

function labelsOf({ from, to }: MirrorStats): Record<string, string> {
  return { upstream: from, to };
}

/** Faults that are on, where the file allows them, and those injected since the start, where there were any. */
export function faultMetrics(controller: FaultController): Metric[] {
  const samples = [...controller.injected].map(([key, value]) => {
    const [direction = '', kind = ''] = key.split(' ');
    return { labels: { direction, kind }, value };
  });
  return [
    ...(controller.isAllowed ? [metric('outrider_faults_active', activeFaults(controller))] : []),
    ...(samples.length === 0 ? [] : [metric('outrider_faults_injected_total', samples)]),
  ];
}

/** By side and by what is done to calls; a fault that does both counts in both. A process that is frozen takes no calls of peers. */
function activeFaults(controller: FaultController): Sample[] {
  const all = controller.list();
  const frozen = controller.processes.list().filter((each) => each.process === 'freeze').length;
  const ofCalls = (['inbound', 'outbound'] as const).flatMap((direction) => {
    const own = all.filter(({ side }) => side === direction);
    return [
      {
        labels: { direction, kind: 'delay' },
        value: own.filter((each) => each.delayMs !== undefined).length,
      },
      { labels: { direction, kind: 'abort' }, value: own.filter((each) => each.abort !== undefined).length },
    ];
  });
  return [...ofCalls, { labels: { direction: 'inbound', kind: 'freeze' }, value: frozen }];
}

/** The mirrors in `/endpoints`. */
export function mirrorReports(upstreams: readonly ShapedUpstream[], nowMs: number): MirrorReport[] {
  return countsIn(upstreams).map((counts) => {
    const { from, to, sent, inFlight, compared, skipped, mismatched, last, lastMs } = counts;
    return {
      upstream: from,
      to,
      sent,
      inFlight,
      skipped: sumOf(skipped),
      compared,
      mismatched: sumOf(mismatched),
      ...(last === '' ? {} : { last, lastAgoMs: Math.round(nowMs - lastMs) }),
    };
  });
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
}
