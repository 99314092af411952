/**
 * What serving a model costs: our servers, directly and behind two sidecars, Python's grpc.aio over onnxruntime, and the model alone
 * in a process. Servers run on core 1 by turns, the load on core 0; figures of one turn are compared with those of the same turn only.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loopback } from '../../kit/interop/programs.js';
import { until } from '../../kit/process/processes.js';
import { framedCall } from '../../kit/service/framed-client.js';
import { runModels } from '../../kit/service/made-models.js';
import { residentBytes } from '../load/cpu.js';
import type { LoadProcess } from '../load-process.js';
import { PROXY_CORE } from '../subjects/subject.js';
import { type AloneFigures, requestFor, SERVED_MODELS, type ServedModel } from './models.js';
import { SERVING_SUBJECTS, type ServingSubject } from './subjects.js';

/** Requests in flight, each as of a caller of its own. */
const CALLERS = [1, 32];
const FULL = { warmMs: 1000, measureMs: 3000, aloneMs: 300 };
const QUICK = { warmMs: 500, measureMs: 1000, aloneMs: 50 };
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

/** All of it. `alone`: by model, one in each turn. */
export interface ServingReport {
  readonly runs: readonly ServingRun[];
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
  const alone: Record<string, AloneFigures[]> = {};
  for (const model of chosenOf(SERVED_MODELS, options.only)) {
    if (model.network === undefined && !isMade(model, say)) continue;
    for (let turn = 1; turn <= options.runs; turn++) {
      say(`${model.name}, turn ${turn}`);
      alone[model.name] ??= [];
      alone[model.name]!.push(await measureAlone(model, options.quick ? QUICK.aloneMs : FULL.aloneMs));
      for (const subject of chosenOf(SERVING_SUBJECTS, options.only))
        if (subject.serves(model)) runs.push(...(await measureServer(model, subject, options, load)));
    }
  }
  return { runs, alone };
}

function chosenOf<T extends { readonly name: string }>(all: readonly T[], only: ReadonlySet<string>): T[] {
  const named = all.filter(({ name }) => only.has(name));
  return named.length > 0 ? named : [...all];
}

function isMade({ name }: ServedModel, say: (line: string) => void): boolean {
  const { status, stderr } = runModels([name]);
  if (status !== 0) say(`${name} is left out: ${stderr.trim()}`);
  return status === 0;
}

async function measureAlone({ name }: ServedModel, roundMs: number): Promise<AloneFigures> {
  const program = fileURLToPath(new URL('alone-process.js', import.meta.url));
  const args = ['-c', String(PROXY_CORE), process.execPath, program, name, String(roundMs)];
  const { stdout } = await promisify(execFile)('taskset', args);
  return JSON.parse(stdout) as AloneFigures;
}

/** A server listens before its model is loaded. */
async function untilAnswered(model: ServedModel, port: number): Promise<void> {
  const call = { path: PATH, body: requestFor(model) };
  await until(`${model.name} is served`, async () => (await framedCall(loopback(port), call)).status === 0);
}

async function measureServer(
  model: ServedModel,
  subject: ServingSubject,
  { quick, profile }: ServingOptions,
  load: LoadProcess,
): Promise<ServingRun[]> {
  const running = await subject.start(model, profile);
  if (running === undefined) return [];
  const { warmMs, measureMs } = quick ? QUICK : FULL;
  const runs: ServingRun[] = [];
  try {
    await untilAnswered(model, running.port);
    for (const callers of CALLERS) {
      const pids = running.pids();
      const result = await load.run({
        ...{ port: running.port, kind: 'unary', connections: 1, inFlight: callers, requestBytes: 0 },
        ...{ varyingHeaders: false, warmMs, measureMs, seed: 1, pids },
        call: { path: PATH, message: requestFor(model).toString('base64') },
      });
      const calls = Math.max(1, result.measured);
      const failures = Object.entries(result.failures).map(([what, times]) => `${times} × ${what}`);
      runs.push({
        ...{ model: model.name, subject: subject.name, callers },
        cpuUs: result.cpuNs / 1000 / calls,
        perSecond: result.seconds > 0 ? result.measured / result.seconds : 0,
        ...{ p50Us: result.p50Us, p99Us: result.p99Us },
        rssMb: residentBytes(pids, 'VmHWM') / 1e6,
        problem:
          failures.join(', ') || (result.measured === 0 ? 'nothing was measured' : running.lastWords()),
      });
    }
  } finally {
    await running.stop();
  }
  return runs;
}
