/** What a collector gets of metrics and traces: counts that only grow, each once, as the sidecars count, and again once the collector is back. */
import { COLLECTOR_FAULTS, type FaultKind, type Plan } from '../plan/plan.js';
import type { Point } from '../world/collector/otlp.js';
import type { Received } from '../world/collector/sim-collector.js';
import type { SimSidecar } from '../world/sim-sidecar.js';
import type { World } from '../world/world.js';

/** After its last failure a sidecar leaves a collector alone for so long at most, and gives up a request after so long, ms. */
const PAUSE_MS = 36_000;
const SEND_MS = 10_000;
/** The process of a sidecar ends, or is another one. */
const ENDS: readonly FaultKind[] = ['kill-sidecar', 'drain', 'takeover'];
/** Times of the wall clock go back. */
const JUMPS = 'clock-jump';
/** Of an hour or so since 1970, ms: ns are more than a double has. */
const ROUNDED_MS = 0.01;

export function judgeTelemetry(world: World): void {
  const { collector, plan } = world;
  if (collector === undefined) return;
  for (const problem of collector.problems) world.find('telemetry', `the collector cannot read ${problem}`);
  const known = [...plan.replicas, ...plan.callers].map(({ name }) => name);
  for (const { instance, signal } of collector.received)
    if (!known.includes(instance)) world.findOnce('telemetry', `${signal} of an unknown "${instance}"`);
  for (const sidecar of world.sidecars) {
    const own = collector.received.filter(({ instance }) => instance === sidecar.name);
    const metrics = own.filter(({ signal }) => signal === 'metrics');
    new Series(world, sidecar.name).judge(metrics);
    judgeSpans(world, sidecar, own);
    judgeReturn(world, sidecar, metrics);
    judgeExported(world, sidecar, metrics);
  }
}

function has(plan: Plan, name: string, kinds: readonly FaultKind[]): boolean {
  return plan.faults.some(({ kind, target }) => kinds.includes(kind) && (target === name || target === ''));
}

/** The collector, or the way to it, was not as it should be at some time. */
function isTroubled({ faults }: Plan): boolean {
  return faults.some(({ kind }) => (COLLECTOR_FAULTS as readonly FaultKind[]).includes(kind));
}

/** Points of each series of one sidecar, by time. */
class Series {
  private readonly last = new Map<string, Point>();
  private readonly jumps: boolean;

  constructor(
    private readonly world: World,
    private readonly name: string,
  ) {
    this.jumps = world.plan.features.includes(JUMPS);
  }

  judge(received: readonly Received[]): void {
    for (const { points } of received)
      for (const point of points) {
        const key = `${point.metric}{${point.labels}}`;
        const problem = this.problemOf(point, this.last.get(key));
        this.last.set(key, point);
        if (problem === '') continue;
        this.world.find('telemetry', `${this.name}: ${key}: ${problem}`);
        return;
      }
  }

  private problemOf(point: Point, before: Point | undefined): string {
    const { kind, startMs, timeMs, value } = point;
    if (!Number.isFinite(value)) return `its value is ${value}`;
    if (kind === 'count' && startMs > timeMs + ROUNDED_MS)
      return `it begins ${startMs - timeMs} ms after its point`;
    if (before === undefined || this.jumps) return '';
    if (timeMs <= before.timeMs) return `a point ${before.timeMs - timeMs} ms before the last one`;
    if (kind === 'gauge') return '';
    if (Math.abs(startMs - before.startMs) <= ROUNDED_MS)
      return value < before.value ? `it falls from ${before.value} to ${value} without a new begin` : '';
    if (startMs < before.timeMs - ROUNDED_MS)
      return `it begins anew ${(before.timeMs - startMs).toFixed(2)} ms before its last point`;
    return '';
  }
}

/** Each span comes once where the collector was always well, and as many as its sidecar counts. */
function judgeSpans(
  world: World,
  { name, insides, process }: SimSidecar,
  received: readonly Received[],
): void {
  const seen = new Set<string>();
  const isWell = !isTroubled(world.plan) && !has(world.plan, name, ['freeze-sidecar', 'freeze-caller']);
  let spans = 0;
  for (const { spans: some, taken } of received)
    for (const { trace, id, startMs, endMs } of some) {
      const key = `${trace} ${id}`;
      if (!/^[0-9a-f]{32} [0-9a-f]{16}$/.test(key) || /^0+ | 0+$/.test(key))
        return world.find('telemetry', `${name}: a span has the id "${key}"`);
      if (isWell && seen.has(key)) return world.find('telemetry', `${name}: the span ${key} came twice`);
      if (endMs < startMs && !world.plan.features.includes(JUMPS))
        return world.find('telemetry', `${name}: the span ${key} ends before it begins`);
      seen.add(key);
      if (taken >= 0) spans++;
    }
  const exporter = insides?.traces.current?.exporter;
  if (exporter === undefined || process.isDead || !isWell || has(world.plan, name, [...ENDS, 'reload']))
    return;
  if (exporter.exported !== spans)
    world.find(
      'telemetry',
      `${name} counts ${exporter.exported} exported spans, the collector took ${spans}`,
    );
}

/** Long after all trouble metrics come at each interval, and say what the sidecar has counted. */
function judgeReturn(
  world: World,
  { name, insides, process }: SimSidecar,
  received: readonly Received[],
): void {
  const { plan, originMs } = world;
  const intervalMs = insides?.current.metrics?.intervalMs;
  if (insides === undefined || intervalMs === undefined || process.isDead) return;
  const nowMs = world.clock.now();
  const troubleMs = Math.max(0, ...plan.faults.map(({ untilMs }) => untilMs)) + SEND_MS + PAUSE_MS;
  const isLong = world.plan.faults.some(({ kind }) => kind === 'drain' || kind === 'takeover');
  if (originMs + troubleMs + 2 * intervalMs > nowMs || isLong) return;
  const last = received.findLast(({ taken }) => taken >= 0);
  if (last === undefined || last.atMs < nowMs - 1.2 * intervalMs - SEND_MS)
    return world.find('telemetry', `${name} has exported nothing since ${since(world, last)} ms`);
  const reading = received.filter(({ points }) => points[0]?.timeMs === last.points[0]?.timeMs);
  const told = reading
    .flatMap(({ points }) => points)
    .filter(({ metric }) => metric === 'outrider_calls_total')
    .reduce((sum, { value }) => sum + value, 0);
  const endsMs = world.records.map(({ endMs }) => endMs);
  // Questions between sidecars are calls, too, and go on.
  if (plan.features.includes('health-checks') || plan.features.includes('other-reports')) return;
  if (Math.max(...endsMs) + 1_000 > last.atMs - intervalMs) return;
  const counted = insides.context.dataPlane.stats.calls
    .flatMap(({ byStatus }) => [...byStatus])
    .reduce((sum, count) => sum + count, 0);
  if (told !== counted) world.find('telemetry', `${name} has counted ${counted} calls, and exported ${told}`);
}

function since({ beginMs }: World, last: Received | undefined): string {
  return last === undefined ? '0' : (last.atMs - beginMs).toFixed(0);
}

/** What a sidecar says that it has exported is what the collector took: no more, and where all went well no less. */
function judgeExported(
  world: World,
  { name, insides, process }: SimSidecar,
  received: readonly Received[],
): void {
  if (insides === undefined || process.isDead || has(world.plan, name, ENDS)) return;
  const { exported } = insides.metricsExport.counts;
  const isLied = world.plan.features.includes('collector-lies');
  const taken = received.reduce((sum, each) => sum + Math.max(0, each.taken), 0);
  // An answer may be under way.
  const underWay = received.at(-1)?.taken ?? 0;
  const isExact =
    !isTroubled(world.plan) && !has(world.plan, name, ['freeze-sidecar', 'freeze-caller', 'reload']);
  if (!isLied && (exported > taken || (isExact && exported < taken - Math.max(0, underWay))))
    world.find('telemetry', `${name} counts ${exported} exported points, the collector took ${taken}`);
}
