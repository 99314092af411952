/**
 * What serving a model costs: our servers, directly and behind two sidecars, Python's grpc.aio over onnxruntime, MLServer, and the
 * model alone in a process. Servers run on core 1 by turns, the load on core 0; figures of one turn are compared with those of the
 * same turn only. Each is loaded by callers that wait for their answers, and then at a rate that Python's server can just keep.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { messageOf } from '../../../services/model-server/rpc.js';
import { loopback } from '../../kit/interop/programs.js';
import { residentBytes, until } from '../../kit/process/processes.js';
import { framedCall } from '../../kit/service/framed-client.js';
import { runModels } from '../../kit/service/made-models.js';
import type { LoadProcess } from '../load-process.js';
import { PROXY_CORE, putFirst, type Running } from '../subjects/subject.js';
import type { AloneFigures } from './alone-process.js';
import { SERVED_MODELS, type ServedModel } from './models.js';
import { Progress } from './progress.js';
import { PACER, SERVING_SUBJECTS, type ServingSubject } from './subjects.js';

/** Requests in flight, each as of a caller of its own. */
const FEW = 1;
export const MANY = 32;
/** Of what the pacer serves with `MANY` in flight. */
export const PACE = 0.8;
/**
 * Ms. A server is warmed up with few callers and then with many (whose requests share runs, so that other code runs), until its
 * code is compiled: each for `firstMs` at least and until `firstCalls` have ended, but no longer than ten times `firstMs`. A model
 * that takes 4 ms is compiled for 10 s. Each load then has `warmMs` before its measured part.
 */
const FULL = { firstMs: 1000, firstCalls: 10_000, warmMs: 300, measureMs: 2000, aloneMs: 200 };
const QUICK = { firstMs: 100, firstCalls: 1500, warmMs: 100, measureMs: 700, aloneMs: 50 };
const PATH = '/inference.GRPCInferenceService/ModelInfer';

/** One server under one load, in one turn. */
export interface ServingRun {
  readonly model: string;
  readonly subject: string;
  readonly callers: number;
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly rssMb: number;
  /** Why it is no figure; empty: every call was answered OK. */
  readonly problem: string;
}

const NO_FIGURES = {
  ...{ callers: MANY, cpuUs: Number.NaN, perSecond: Number.NaN },
  ...{ p50Us: Number.NaN, p99Us: Number.NaN, rssMb: Number.NaN },
};

/** One server at a given rate, in one turn: calls start at Poisson-distributed times, and latency counts from there. */
export interface PacedRun extends Omit<ServingRun, 'callers'> {
  /** Calls started a second. */
  readonly rate: number;
  /** How late the load sent them, µs (p99): it is part of their latency. */
  readonly lateP99Us: number;
}

/** All of it. `alone`: by model, one in each turn. */
export interface ServingReport {
  readonly runs: readonly ServingRun[];
  /** Empty where the pacer was not measured. */
  readonly paced: readonly PacedRun[];
  readonly alone: Readonly<Record<string, readonly AloneFigures[]>>;
}

/** What the benchmark is told. */
export interface ServingOptions {
  readonly only: ReadonlySet<string>;
  readonly runs: number;
  readonly quick: boolean;
  readonly profile?: string | undefined;
}

/** Measures every model by turns. A model that cannot be made, and a server that cannot be had, is said and left out. */
export async function benchServing(
  options: ServingOptions,
  load: LoadProcess,
  say: (line: string) => void,
): Promise<ServingReport> {
  const runs: ServingRun[] = [];
  const paced: PacedRun[] = [];
  const alone: Record<string, AloneFigures[]> = {};
  const models = chosenOf(SERVED_MODELS, options.only).filter((model) => !model.isCode || isMade(model, say));
  const subjects = pacerFirst(chosenOf(SERVING_SUBJECTS, options.only));
  if (!putFirst([load.pid])) say('no right to raise priorities: other work on this machine shows as latency');
  const progress = new Progress(models.length * options.runs, subjects.length, options.quick);
  for (const model of models) {
    const figures: AloneFigures[] = [];
    alone[model.name] = figures;
    for (let turn = 1; turn <= options.runs; turn++) {
      say(`${model.name}, turn ${turn} of ${options.runs}: ${progress.left()}`);
      figures.push(await measureAlone(model, options.quick ? QUICK.aloneMs : FULL.aloneMs));
      let rate: number | undefined;
      for (const subject of subjects) {
        const measured = await measureServer({ model, subject, rate, options, load }).catch(
          (error: unknown) => {
            // One server that cannot be measured does not cost the figures of the others.
            const problem = messageOf(error);
            say(`${model.name} ${subject.name}: ${problem}`);
            return {
              runs: [{ ...NO_FIGURES, model: model.name, subject: subject.name, problem }],
              paced: [],
            };
          },
        );
        runs.push(...measured.runs);
        paced.push(...measured.paced);
        rate ??= measured.paced[0]?.rate;
      }
      progress.turnEnded();
    }
  }
  return { runs, paced, alone };
}

function pacerFirst(subjects: readonly ServingSubject[]): ServingSubject[] {
  const isPacer = ({ name }: ServingSubject): number => (name === PACER ? 1 : 0);
  return [...subjects].sort((a, b) => isPacer(b) - isPacer(a));
}

function chosenOf<T extends { readonly name: string; readonly isExtra?: true }>(
  all: readonly T[],
  only: ReadonlySet<string>,
): T[] {
  const named = all.filter(({ name }) => only.has(name));
  return named.length > 0 ? named : all.filter(({ isExtra }) => !isExtra);
}

function isMade({ name }: ServedModel, say: (line: string) => void): boolean {
  const { status, stderr } = runModels([name]);
  if (status !== 0) say(`${name} is left out: ${stderr.trim()}`);
  return status === 0;
}

async function measureAlone({ name }: ServedModel, roundMs: number): Promise<AloneFigures> {
  const program = fileURLToPath(new URL('alone-process.js', import.meta.url));
  const args = ['-c', String(PROXY_CORE), process.execPath, program, name, String(roundMs), String(MANY)];
  const running = promisify(execFile)('taskset', args);
  putFirst([running.child.pid!]);
  const { stdout } = await running;
  return JSON.parse(stdout) as AloneFigures;
}

/** A server under loads, one after the other. */
interface Measurement {
  readonly model: ServedModel;
  readonly subject: ServingSubject;
  /** Calls a second of the paced run; undefined: not paced, unless it is the pacer. */
  readonly rate: number | undefined;
  readonly options: ServingOptions;
  readonly load: LoadProcess;
}

async function measureServer({ model, subject, rate, options, load }: Measurement) {
  const runs: ServingRun[] = [];
  const paced: PacedRun[] = [];
  const running = await subject.start(model, options.profile);
  if (running === undefined) return { runs, paced };
  const of = { model: model.name, subject: subject.name };
  const message = subject.request(model);
  const times = options.quick ? QUICK : FULL;
  const measure = (loaded: Loaded) => measureRun(running, { ...loaded, message, times, load });
  try {
    await untilAnswered(model.name, running.port, message);
    if (!subject.isSeveral) putFirst(running.pids());
    for (const callers of [FEW, MANY]) await measure({ callers, isFirst: true });
    for (const callers of [FEW, MANY]) runs.push({ ...of, callers, ...(await measure({ callers })) });
    const pace = subject.name === PACER ? PACE * runs.at(-1)!.perSecond : rate;
    if (pace !== undefined && pace > 0)
      paced.push({ ...of, rate: pace, ...(await measure({ callers: MANY, ratePerSecond: pace })) });
  } finally {
    await running.stop();
  }
  return { runs, paced };
}

/** A server listens before its model is loaded. */
async function untilAnswered(model: string, port: number, body: Buffer): Promise<void> {
  await until(
    `${model} is served`,
    async () => (await framedCall(loopback(port), { path: PATH, body })).status === 0,
  );
}

interface Loaded {
  readonly callers: number;
  /** Instead of callers that wait for their answers. */
  readonly ratePerSecond?: number;
  /** The server is warmed up, and nothing is measured. */
  readonly isFirst?: true;
}

interface Measured extends Loaded {
  readonly message: Buffer;
  readonly times: typeof FULL;
  readonly load: LoadProcess;
}

async function measureRun(
  running: Running,
  { callers, ratePerSecond, isFirst, message, times, load }: Measured,
) {
  const pids = running.pids();
  const parts = isFirst
    ? { warmMs: times.firstMs, warmCalls: times.firstCalls, measureMs: 1 }
    : { warmMs: times.warmMs, measureMs: times.measureMs };
  const result = await load.run({
    ...{ port: running.port, kind: 'unary', connections: 1, inFlight: callers, requestBytes: 0 },
    ...{ varyingHeaders: false, seed: 1, pids, ...parts },
    ...(ratePerSecond === undefined ? {} : { ratePerSecond }),
    call: { path: PATH, message: message.toString('base64') },
  });
  const failures = Object.entries(result.failures).map(([what, times]) => `${times} × ${what}`);
  return {
    cpuUs: result.cpuNs / 1000 / Math.max(1, result.measured),
    perSecond: result.seconds > 0 ? result.measured / result.seconds : 0,
    ...{ p50Us: result.p50Us, p99Us: result.p99Us, lateP99Us: result.lateP99Us },
    rssMb: residentBytes(pids, 'VmHWM') / 1e6,
    problem: failures.join(', ') || (result.measured === 0 ? 'nothing was measured' : running.lastWords()),
  };
}
