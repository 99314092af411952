/** One run of one mode against one running subject, checked: what does not add up is not a figure. */

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { residentBytes } from '../../kit/process/processes.js';
import { cpuNs } from '../load/cpu.js';
import { messageOf, PATHS } from '../load/protocol.js';
import type { LoadResult } from '../load/run.js';
import type { LoadProcess } from '../load-process.js';
import { LOAD_CORE, type Running, scratch } from '../subjects/subject.js';
import { findTool, toolEnvironment } from '../subjects/tools.js';
import type { Mode } from './modes.js';

/** Lengths of the two parts of a run, ms. */
export interface RunLength {
  readonly warmMs: number;
  readonly measureMs: number;
}

/** The figures of one run. `problem` is empty when executions = OK statuses = calls. */
export type Figures = Awaited<ReturnType<typeof measureWithGenerator>>;

/** One run that is to be measured. */
export interface RunRequest extends RunLength {
  readonly mode: Mode;
  readonly subject: Running;
  readonly load: LoadProcess;
  readonly seed: number;
  readonly ratePerSecond?: number;
}

/** Measures one run. A subject that ended meanwhile is a problem of the figures, not an error. */
export async function measure(request: RunRequest): Promise<Figures> {
  const figures = await (request.mode.load === 'h2load'
    ? measureWithH2load(request)
    : measureWithGenerator(request));
  const lastWords = request.subject.lastWords();
  return lastWords === '' ? figures : { ...figures, problem: `${figures.problem}; it ended: ${lastWords}` };
}

async function measureWithGenerator({ mode, subject, load, ...times }: RunRequest) {
  const { kind, connections, inFlight, requestBytes, varyingHeaders } = mode;
  const pids = subject.pids();
  const traffic = { kind, connections, inFlight, requestBytes, varyingHeaders };
  const result = await load.run({ ...times, ...traffic, port: subject.port, pids });
  const calls = Math.max(1, result.measured);
  return {
    cpuUs: result.cpuNs / 1000 / calls,
    perSecond: result.seconds > 0 ? result.measured / result.seconds : 0,
    /** 0 when the load does not tell (h2load). */
    p50Us: result.p50Us,
    p99Us: result.p99Us,
    rssMb: residentBytes(pids, 'VmHWM') / 1e6,
    /** Microseconds of the load process per request: high beside `cpuUs` means that the load was the bottleneck. */
    loadCpuUs: result.loadCpuNs / 1000 / calls,
    readyMs: subject.readyMs,
    calls: result.issued,
    problem: problemOf(result),
  };
}

/** Why the result gives no figure; empty: executions, OK statuses and calls agree. */
export function problemOf(result: LoadResult): string {
  const failures = Object.entries(result.failures).map(([what, times]) => `${times} × ${what}`);
  if (failures.length > 0) return failures.join(', ');
  if (result.measured === 0) return 'nothing was measured';
  if (result.ok + result.abandoned !== result.issued) return `${result.issued} calls, ${result.ok} OK`;
  if (result.abandoned === 0 && result.executions !== result.ok) {
    return `${result.executions} executions, ${result.ok} OK`;
  }
  return '';
}

/** h2load counts calls and not time, so two shorter runs first find the rate. */
async function measureWithH2load(request: RunRequest): Promise<Figures> {
  const { mode, subject, load } = request;
  const pids = subject.pids();
  const first = await runH2load(mode, subject.port, 20 * mode.connections * mode.inFlight);
  const warm = await runH2load(mode, subject.port, callsFor(mode, first, request.warmMs));
  const before = await load.executions();
  const cpuBefore = cpuNs(pids);
  const loadBefore = cpuNs([load.pid]);
  const run = await runH2load(mode, subject.port, callsFor(mode, warm, request.measureMs));
  const cpuUs = (cpuNs(pids) - cpuBefore) / 1000 / run.calls;
  const executions = (await load.executions()) - before;
  const adds = run.succeeded === run.calls && executions === run.calls;
  return {
    cpuUs,
    perSecond: run.calls / run.seconds,
    p50Us: 0,
    p99Us: 0,
    rssMb: residentBytes(pids, 'VmHWM') / 1e6,
    loadCpuUs: (cpuNs([load.pid]) - loadBefore) / 1000 / run.calls,
    readyMs: subject.readyMs,
    calls: run.calls,
    problem: adds ? '' : `${run.calls} calls, ${run.succeeded} of status 2xx, ${executions} executions`,
  };
}

/** As many calls as take about `ms` at the rate of the run before. */
function callsFor(mode: Mode, before: H2loadRun, ms: number): number {
  const rate = before.seconds > 0 ? before.succeeded / before.seconds : 0;
  return Math.max(Math.round((rate * ms) / 1000), 20 * mode.connections * mode.inFlight);
}

type H2loadRun = Awaited<ReturnType<typeof runH2load>>;

async function runH2load(mode: Mode, port: number, calls: number) {
  const path = findTool('h2load')!;
  const body = join(scratch(), 'request');
  writeFileSync(body, messageOf(mode.requestBytes));
  const counts = ['-n', calls, '-c', mode.connections, '-m', mode.inFlight].map(String);
  const headers = ['-H', 'te: trailers', '-H', 'content-type: application/grpc'];
  const args = [...counts, '-d', body, ...headers, `http://127.0.0.1:${port}${PATHS.unary}`];
  const pinned = ['-c', String(LOAD_CORE), path, ...args];
  const env = { ...process.env, ...toolEnvironment(path) };
  const run = promisify(execFile)('taskset', pinned, { env });
  const { stdout: text } = await run.catch((failed: { readonly stdout: string }) => failed);
  return {
    calls,
    succeeded: Number(/status codes: (\d+) 2xx/.exec(text)?.[1] ?? 0),
    seconds: milliseconds(/finished in ([\d.]+\w+)/.exec(text)?.[1]) / 1000,
  };
}

function milliseconds(text: string | undefined): number {
  const found = /^([\d.]+)(us|ms|s|m)$/.exec(text ?? '');
  if (found === null) return 0;
  return Number(found[1]) * { us: 0.001, ms: 1, s: 1000, m: 60_000 }[found[2] as 'us' | 'ms' | 's' | 'm'];
}
