/**
 * The same faults, the same models and the same calls for Outrider, Envoy and a bare grpc-js client, by turns. Models and
 * load have core 0, proxies core 1. Models live through a row and come back well; proxies are started anew for each.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Times } from '../../../sidecar/cli/chaos/drills/drill.js';
import { WELL } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import { Model } from '../../drills/faults/model.js';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { type BenchOptions, chosen } from '../options.js';
import { describeMachine } from '../relay/machine.js';
import { spreadsOf } from '../relay/results.js';
import { LOAD_CORE, PROXY_CORE, pin, versionsOf } from '../subjects/subject.js';
import { type FaultFigures, figuresOf, MEASURES } from './figures.js';
import type { Calls, LoadRequest } from './protocol.js';
import type { FaultRow } from './rows.js';
import { DEADLINE_MS, FULL, PLACES, QUICK, ROWS, SEED, SERVICE_MS } from './rows.js';
import { type FaultSubject, type Standing, SUBJECTS } from './subjects.js';

/** How the comparison is run; `only`: rows and subjects. */
export interface FaultBenchOptions extends Pick<BenchOptions, 'runs' | 'quick' | 'only'> {
  readonly isPinned: boolean;
  /** Default: as long as `quick` says. */
  readonly times?: Times;
}

type Say = (line: string) => void;

interface Run {
  readonly row: FaultRow;
  readonly subject: FaultSubject;
  readonly seed: number;
  readonly figures?: FaultFigures;
  readonly problem?: string;
}

/** All rows with the spreads of each subject, and the machine they were measured on. `problems`: runs that gave no figures. */
export type FaultReport = Awaited<ReturnType<typeof benchFaults>>;

/** Runs every row against every subject by turns. Problems of single runs are in the report. */
export async function benchFaults(
  { quick, isPinned, only, times = quick ? QUICK : FULL, ...options }: FaultBenchOptions,
  say: Say,
) {
  for (const { name, version } of SUBJECTS) if ('missing' in version) say(`${name}: ${version.missing}`);
  const subjects = chosen(SUBJECTS, only).filter(({ version }) => 'found' in version);
  const rows = chosen(ROWS, only);
  const plan = { serviceMs: SERVICE_MS, places: PLACES };
  const most = Math.max(...rows.map(({ replicas }) => replicas));
  const models = await Promise.all(Array.from({ length: most }, () => Model.start(plan)));
  const load = await AskedProcess.start<LoadRequest>(new URL('load.js', import.meta.url));
  const world = { models, load, isPinned, times };
  const runs: Run[] = [];
  try {
    for (let run = 0; run < options.runs; run++) {
      for (const [i, row] of rows.entries()) {
        for (let turn = 0; turn < subjects.length; turn++) {
          const subject = subjects[(turn + run + i) % subjects.length]!;
          say(`run ${run + 1} of ${options.runs}: ${row.name}, ${subject.name}`);
          runs.push(await runOnce(world, { row, subject, seed: SEED + run }));
        }
      }
    }
  } finally {
    load.stop();
    await Promise.all(models.map((model) => model.kill()));
  }
  const resultOf = (row: FaultRow, subject: FaultSubject) => {
    const mine = runs.filter((run) => run.row === row && run.subject === subject);
    const problems = mine.flatMap(({ problem }) => problem ?? []);
    const figures = mine.flatMap((run) => run.figures ?? []);
    return { name: subject.name, problems, spreads: spreadsOf(figures, MEASURES) };
  };
  return {
    machine: describeMachine(),
    date: new Date().toISOString().slice(0, 10),
    versions: versionsOf(subjects),
    runs: options.runs,
    rows: rows.map((row) => ({
      ...{ name: row.name, title: row.title },
      subjects: subjects
        .map((subject) => resultOf(row, subject))
        .filter(({ spreads }) => spreads.served.median !== undefined),
    })),
  };
}

function inject(model: Model, fault: NonNullable<FaultRow['fault']>): Promise<void> {
  return fault.does === 'die' ? model.kill() : model.behave(fault);
}

/** Makes it well, whatever was done to it. */
function heal(model: Model): Promise<void> {
  return model.process.isRunning ? model.behave(WELL) : model.restart();
}

interface World {
  readonly models: readonly Model[];
  readonly load: AskedProcess<LoadRequest>;
  readonly isPinned: boolean;
  readonly times: Times;
}

/** Never rejects. */
async function runOnce(world: World, run: Run): Promise<Run> {
  const { models, load, isPinned } = world;
  let standing: Standing | undefined;
  try {
    for (const model of models) await heal(model);
    const ports = models.map(({ port }) => port);
    standing = await run.subject.start(ports, run.row.replicas);
    if (isPinned) {
      for (const pid of standing.pids) pin(pid, PROXY_CORE);
      for (const { pid } of [load, ...models.map(({ process }) => process)]) pin(pid, LOAD_CORE);
    }
    return { ...run, figures: await measure(world, run, standing) };
  } catch (error) {
    return { ...run, problem: error instanceof Error ? error.message : String(error) };
  } finally {
    await standing?.stop();
  }
}

async function measure({ models, load, times }: World, { row, seed }: Run, { client }: Standing) {
  const { steadyMs, faultMs, healedMs } = times;
  const { perSecond, faultPerSecond = perSecond } = row;
  const phases = [
    { forMs: steadyMs, perSecond },
    { forMs: faultMs, perSecond: faultPerSecond },
    { forMs: healedMs, perSecond },
  ];
  const schedule = { ...client, deadlineMs: DEADLINE_MS, phases, seed };
  const beganMs = (await load.ask<number>(schedule)) - performance.timeOrigin;
  await until(beganMs + steadyMs);
  const victims = row.fault === undefined ? [] : models.slice(0, row.victims);
  await Promise.all(victims.map((model) => inject(model, row.fault!)));
  await until(beganMs + steadyMs + faultMs);
  await Promise.all(victims.map(heal));
  const calls = await load.ask<Calls>('calls');
  const used = models.slice(0, row.replicas);
  const runs = used.map((model) => model.runs(beganMs).map(({ startMs }) => startMs - beganMs));
  return figuresOf(row, times, { calls, runs });
}

async function until(atMs: number): Promise<void> {
  await delay(Math.max(0, atMs - performance.now()));
}
