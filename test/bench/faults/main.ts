/**
 * The same faults, the same models and the same calls for Outrider, Envoy and a bare grpc-js client, by turns. Models and
 * load have core 0, proxies core 1. Models live through a row and come back well; proxies are started anew for each.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Model } from '../../drills/models/models.js';
import { WELL } from '../../drills/models/protocol.js';
import { describeMachine } from '../relay/machine.js';
import { LOAD_CORE, PROXY_CORE, pin } from '../subjects/subject.js';
import { type FaultFigures, figuresOf, spreadsOf } from './figures.js';
import type { Calls, LoadMessage, Schedule } from './protocol.js';
import {
  DEADLINE_MS,
  type FaultRow,
  FULL,
  MOST_REPLICAS,
  PLACES,
  QUICK,
  ROWS,
  SEED,
  SERVICE_MS,
  type Times,
} from './rows.js';
import { type FaultSubject, type Standing, SUBJECTS } from './subjects.js';
import type { FaultReport } from './table.js';

/** How the comparison is run. */
export interface FaultBenchOptions {
  readonly runs: number;
  readonly quick: boolean;
  readonly isPinned: boolean;
  /** Rows and subjects; empty: all. */
  readonly only: ReadonlySet<string>;
}

interface Run {
  readonly row: FaultRow;
  readonly subject: FaultSubject;
  readonly figures?: FaultFigures;
  readonly problem?: string;
}

/** Runs every row against every subject by turns. Problems of single runs are in the report. */
export async function benchFaults(
  options: FaultBenchOptions,
  say: (line: string) => void,
): Promise<FaultReport> {
  const subjects = SUBJECTS.filter(({ name, version }) => {
    if ('missing' in version) say(`${name}: ${version.missing}`);
    return 'found' in version && isWanted(options.only, name, SUBJECTS);
  });
  const rows = ROWS.filter(({ name }) => isWanted(options.only, name, ROWS));
  const world = await FaultBench.open(options);
  const runs: Run[] = [];
  try {
    for (let run = 0; run < options.runs; run++) {
      for (const [i, row] of rows.entries()) {
        for (let turn = 0; turn < subjects.length; turn++) {
          const subject = subjects[(turn + run + i) % subjects.length]!;
          say(`run ${run + 1} of ${options.runs}: ${row.name}, ${subject.name}`);
          runs.push(await world.run(row, subject, SEED + run));
        }
      }
    }
  } finally {
    await world.close();
  }
  return reportOf(options, rows, subjects, runs);
}

function isWanted(
  only: ReadonlySet<string>,
  name: string,
  all: readonly { readonly name: string }[],
): boolean {
  return only.has(name) || !all.some((each) => only.has(each.name));
}

function reportOf(
  { runs }: FaultBenchOptions,
  rows: readonly FaultRow[],
  subjects: readonly FaultSubject[],
  all: readonly Run[],
): FaultReport {
  const resultOf = (row: FaultRow, subject: FaultSubject) => {
    const mine = all.filter((run) => run.row === row && run.subject === subject);
    const problems = mine.flatMap(({ problem }) => problem ?? []);
    return { name: subject.name, problems, spreads: spreadsOf(mine.flatMap(({ figures }) => figures ?? [])) };
  };
  return {
    machine: describeMachine(),
    date: new Date().toISOString().slice(0, 10),
    versions: Object.fromEntries(
      subjects.map(({ name, version }) => [name, 'found' in version ? version.found : 'missing']),
    ),
    runs,
    rows: rows.map((row) => ({
      ...{ name: row.name, title: row.title },
      subjects: subjects
        .map((subject) => resultOf(row, subject))
        .filter(({ spreads }) => spreads.served.median !== undefined),
    })),
  };
}

class FaultBench {
  private readonly times: Times;

  private constructor(
    private readonly options: FaultBenchOptions,
    private readonly folder: string,
    private readonly models: readonly Model[],
    private readonly load: ChildProcess,
  ) {
    this.times = options.quick ? QUICK : FULL;
  }

  static async open(options: FaultBenchOptions): Promise<FaultBench> {
    const folder = mkdtempSync(join(tmpdir(), 'outrider-faults-'));
    const plan = { serviceMs: SERVICE_MS, places: PLACES };
    const indices = Array.from({ length: MOST_REPLICAS }, (_, i) => i);
    const models = await Promise.all(
      indices.map((i) => Model.start({ ...plan, log: join(folder, `model-${i}.log`) })),
    );
    const load = fork(LOAD, ['load'], { execArgv: process.execArgv });
    await messageOf(load, (message) => 'ready' in message);
    return new FaultBench(options, folder, models, load);
  }

  /** Never rejects. */
  async run(row: FaultRow, subject: FaultSubject, seed: number): Promise<Run> {
    let standing: Standing | undefined;
    try {
      for (const model of this.models) await (model.isRunning ? model.behave(WELL) : model.restart());
      standing = await subject.start(
        this.models.map(({ port }) => port),
        row.replicas,
      );
      this.pin(standing.pids);
      return { row, subject, figures: await this.measure(row, standing, seed) };
    } catch (error) {
      return { row, subject, problem: error instanceof Error ? error.message : String(error) };
    } finally {
      await standing?.stop();
    }
  }

  async close(): Promise<void> {
    if (this.load.connected) this.load.disconnect();
    await Promise.all(this.models.map((model) => model.kill()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async measure(row: FaultRow, { client }: Standing, seed: number): Promise<FaultFigures> {
    const { steadyMs, faultMs, healedMs } = this.times;
    const { perSecond, faultPerSecond = perSecond } = row;
    const phases = [
      { forMs: steadyMs, perSecond },
      { forMs: faultMs, perSecond: faultPerSecond },
      { forMs: healedMs, perSecond },
    ];
    this.load.send({ ...client, deadlineMs: DEADLINE_MS, phases, seed } satisfies Schedule);
    const message = await messageOf(this.load, (each) => 'began' in each);
    const ended = messageOf(this.load, (each) => 'calls' in each);
    ended.catch(() => {}); // it is awaited below
    const beganMs = (message as { readonly began: number }).began - performance.timeOrigin;
    await until(beganMs + steadyMs);
    await this.inject(row);
    await until(beganMs + steadyMs + faultMs);
    await this.heal(row);
    const { calls } = (await ended) as { readonly calls: Calls };
    const used = this.models.slice(0, row.replicas);
    const runs = used.map((model) => model.events('ran', beganMs).map(({ atMs }) => atMs - beganMs));
    return figuresOf(row, this.times, { calls, runs });
  }

  private async inject({ fault, victims }: FaultRow): Promise<void> {
    if (fault === undefined) return;
    const broken = this.models.slice(0, victims);
    await Promise.all(broken.map((model) => (fault.does === 'die' ? model.kill() : model.behave(fault))));
  }

  private async heal({ fault, victims }: FaultRow): Promise<void> {
    if (fault === undefined) return;
    const broken = this.models.slice(0, victims);
    await Promise.all(broken.map((model) => (fault.does === 'die' ? model.restart() : model.behave(WELL))));
  }

  /** All their threads. */
  private pin(proxies: readonly number[]): void {
    if (!this.options.isPinned) return;
    for (const pid of proxies) pin(pid, PROXY_CORE);
    for (const pid of [this.load.pid!, ...this.models.map((model) => model.pid)]) pin(pid, LOAD_CORE);
  }
}

const HERE = dirname(fileURLToPath(import.meta.url));
const LOAD = ['load.js', 'load.ts'].map((name) => join(HERE, name)).find(existsSync)!;

async function until(atMs: number): Promise<void> {
  await delay(Math.max(0, atMs - performance.now()));
}

function messageOf(load: ChildProcess, isIt: (message: LoadMessage) => boolean): Promise<LoadMessage> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`the load ended with ${code}`));
    const onMessage = (message: LoadMessage): void => {
      if (!isIt(message) && !('error' in message)) return;
      load.removeListener('exit', onExit);
      load.removeListener('message', onMessage);
      if ('error' in message) reject(new Error(message.error));
      else resolve(message);
    };
    load.on('exit', onExit);
    load.on('message', onMessage);
  });
}
