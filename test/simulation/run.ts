/** One simulated run, from its plan to what was found. */

import { Dice } from './dice.js';
import { judgeApproximations } from './oracle/approximations.js';
import { judgeBudgets } from './oracle/budgets.js';
import { judgeConsul } from './oracle/consul.js';
import { judgeDns } from './oracle/dns.js';
import { judgeEndpoints } from './oracle/endpoints.js';
import { judgeEngines } from './oracle/engines.js';
import { Evidence } from './oracle/evidence.js';
import { hearing } from './oracle/hearing.js';
import { judgeIdentity } from './oracle/identity.js';
import { judge } from './oracle/judge.js';
import { judgeLogs } from './oracle/logs.js';
import { judgeRest, restBetweenChecks } from './oracle/rest.js';
import { judgeRollout, RolloutHistory } from './oracle/rollout.js';
import { judgeRules } from './oracle/rules.js';
import { ejections, judgeEjections, judgeReadmissions, judgeShares, judgeWaits } from './oracle/share.js';
import { judgeTelemetry } from './oracle/telemetry.js';
import { judgeTurns } from './oracle/turns.js';
import { windows } from './oracle/windows.js';
import { LEAST_PAUSE_MS } from './plan/draw-load.js';
import type { Plan } from './plan/plan.js';
import { noteArrivals } from './world/arrivals.js';
import type { CallRecord } from './world/records.js';
import { PRESENT, type Release } from './world/release.js';
import { seal } from './world/seal.js';
import { isCounted, WorkCounts } from './world/work-counts.js';
import { type Finding, World } from './world/world.js';

export interface RunResult {
  readonly plan: Plan;
  readonly findings: readonly Finding[];
  readonly calls: number;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly turns: number;
  /** Of what happened, and of each read: equal for equal runs, unless an older version is in them. */
  readonly traceHash: string;
  readonly trace: readonly string[];
}

/** Never rejects: what goes wrong is a finding. */
export async function run(
  plan: Plan,
  options: { readonly trace?: boolean; readonly releases?: readonly Release[] } = {},
): Promise<RunResult> {
  const { releases = [PRESENT] } = options;
  for (const { forgetFields } of releases) forgetFields?.();
  const rollout = new RolloutHistory();
  const watches = [
    ejections(),
    ...(plan.consul === undefined ? [] : [hearing()]),
    ...(plan.rollout === undefined ? [] : [rollout]),
    ...(plan.calls.some(({ requestGapMs }) => requestGapMs >= LEAST_PAUSE_MS) ? [windows()] : []),
  ];
  const world = new World(plan, watches, releases);
  world.keepsTrace = options.trace === true;
  const open = seal((what) => world.find('sealed', what), world);
  const forgetArrivals = noteArrivals(world, releases);
  // What a promise or a stream of Node lets fall belongs to this run.
  const fallen = (error: unknown): void =>
    world.find('no-exception', error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.on('unhandledRejection', fallen);
  process.on('uncaughtException', fallen);
  if (isCounted(plan.seed)) {
    world.counts = new WorkCounts(new Dice(plan.seed, 'work'));
    await world.counts.start();
  }
  try {
    await world.run();
    await restBetweenChecks(world);
    const evidence = new Evidence(world);
    judge(world, evidence);
    judgeShares(world, evidence);
    judgeWaits(world, evidence);
    judgeTurns(world, evidence);
    judgeBudgets(world);
    judgeApproximations(world);
    judgeEngines(world);
    judgeEjections(world, evidence);
    judgeReadmissions(world, evidence);
    judgeConsul(world);
    judgeEndpoints(world);
    judgeRollout(world, rollout);
    judgeDns(world);
    judgeIdentity(world);
    judgeRules(world);
    judgeRest(world);
    judgeLogs(world);
    judgeTelemetry(world);
    await world.close();
    await world.stop();
  } catch (error) {
    world.find('no-exception', error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await world.counts?.stop();
    process.off('unhandledRejection', fallen);
    process.off('uncaughtException', fallen);
    forgetArrivals();
    open();
  }
  const byStatus: Record<string, number> = {};
  for (const { status, resetCode, isCancelled, plan: call } of world.records) {
    const key = isCancelled ? 'cancelled' : status >= 0 ? `${status}` : `reset ${resetCode}`;
    byStatus[key] = (byStatus[key] ?? 0) + 1;
    world.note(`call ${call.id} ${key}`);
  }
  return {
    plan,
    findings: world.findings,
    calls: world.records.length,
    byStatus,
    turns: world.turns,
    traceHash: `${world.traceHash.toString(16)}-${world.net.readHash.toString(16)}`,
    trace: options.trace === true ? traceOf(world) : [],
  };
}

/** What happened, in the order of time, then each call. All times are those of the lines: ms since the begin of the run. */
function traceOf(world: World): string[] {
  const ends = world.records
    .filter(({ endMs }) => endMs >= 0)
    .map(({ plan, endMs, status, reason, resetCode, isCancelled }) => {
      const how = isCancelled
        ? 'cancelled'
        : status >= 0
          ? `status ${status} ${reason}`
          : `reset ${resetCode}`;
      return `${(endMs - world.beginMs).toFixed(2)} call ${plan.id} ends: ${how}`;
    });
  const lines = [...world.trace, ...ends];
  const byTime = lines.map((line, i) => ({ line, i, atMs: Number.parseFloat(line) }));
  byTime.sort((a, b) => a.atMs - b.atMs || a.i - b.i);
  return [
    `features: ${world.plan.features.join(' ')}`,
    ...byTime.map(({ line }) => line),
    ...world.records.map((record) => describe(record, world)),
  ];
}

/** A call of the trace, with what models saw of it. */
function describe(
  { plan, executions, arrivals, onSent: _onSent, ...rest }: CallRecord,
  { beginMs, originMs }: World,
): string {
  const { request, response, atMs, ...what } = plan;
  const inRun = <T extends object>(record: T): T =>
    Object.fromEntries(
      Object.entries(record).map(([name, value]) =>
        /^(?:startMs|runStartMs|endMs|lastDataMs|movedMs)$/.test(name) && value >= 0
          ? [name, Math.round((value - beginMs) * 100) / 100]
          : [name, value],
      ),
    ) as T;
  return JSON.stringify({
    ...what,
    requests: request.length,
    responses: response.length,
    plannedMs: originMs - beginMs + atMs,
    ...inRun(rest),
    arrivals: arrivals.map(({ replica, atMs: at }) => ({
      replica,
      atMs: Math.round((at - beginMs) * 100) / 100,
    })),
    executions: executions.map(inRun),
  });
}
