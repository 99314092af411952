/**
 * The relay benchmark: for each mode all subjects are started, then measured in turn (A B C A B C …), so that what
 * the machine does meanwhile falls on all of them, and stopped.
 */

import { writeCertificates } from './certs.js';
import type { LoadProcess } from './load-process.js';
import { describeMachine } from './machine.js';
import { type Figures, measure, type RunLength } from './measure.js';
import { MODES, type Mode } from './modes.js';
import type { BenchOptions } from './options.js';
import { judge, type ModeResult, type Report, type SubjectResult, summarise } from './results.js';
import { envoy, haproxy, nginx } from './subjects/native.js';
import { outrider } from './subjects/outrider.js';
import { grpcJs, nodeHttp2 } from './subjects/plain-node.js';
import type { Running, Subject } from './subjects/subject.js';
import { findTool } from './subjects/tools.js';

const FULL: RunLength = { warmMs: 1500, measureMs: 3000 };
const QUICK: RunLength = { warmMs: 300, measureMs: 700 };
/** A paced run needs enough calls behind its p99. */
const PACED_MS = 6000;

export function allSubjects(): Subject[] {
  return [outrider(), nginx(), haproxy(), envoy(), nodeHttp2(), grpcJs()];
}

/** Those of `only` that are names of `all`, or all of them. */
export function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  only: ReadonlySet<string>,
): T[] {
  const named = all.filter((item) => only.has(item.name));
  return named.length > 0 ? named : [...all];
}

export async function benchRelay(
  options: BenchOptions,
  load: LoadProcess,
  say: (line: string) => void,
): Promise<Report> {
  const known = chosen(allSubjects(), options.only);
  for (const s of known) if ('missing' in s.version) say(`${s.name} is not here: ${s.version.missing}`);
  const subjects = known.filter((s) => 'found' in s.version);
  const bench = new RelayBench(options, load, subjects, await writeCertificates(), say);
  const modes: ModeResult[] = [];
  for (const mode of chosen(MODES, options.only)) {
    if (mode.load === 'h2load' && findTool('h2load') === undefined)
      say(`${mode.name}: h2load is not here, left out`);
    else modes.push(await bench.mode(mode));
  }
  const versions = subjects.map((s) => [s.name, 'found' in s.version ? s.version.found : ''] as const);
  return { machine: describeMachine(), versions: Object.fromEntries(versions), runs: options.runs, modes };
}

class RelayBench {
  private seed = (Date.now() & 0x7fffffff) | 1;
  /** Calls per second of the slowest peer under varying headers at 128 in flight, once known. */
  private slowestPerSecond = 0;

  constructor(
    private readonly options: BenchOptions,
    private readonly load: LoadProcess,
    private readonly subjects: readonly Subject[],
    private readonly certs: string,
    private readonly say: (line: string) => void,
  ) {}

  async mode(mode: Mode): Promise<ModeResult> {
    let rate: number | undefined;
    if (mode.compares === 'paced-p99') {
      if (this.slowestPerSecond === 0) await this.mode(MODES.find((m) => m.name === 'hop-128-varying')!);
      rate = this.slowestPerSecond / 2;
    }
    this.say(`${mode.name}: ${mode.title}`);
    const able = this.subjects.filter((s) => isAble(mode, s));
    const running = await this.startAll(mode, able);
    try {
      const results = await this.interleave(mode, able, running, rate);
      if (mode.name === 'hop-128-varying') this.slowestPerSecond = slowestPeer(results);
      return judge(mode, results, rate);
    } finally {
      for (const r of running) await r.stop();
    }
  }

  private async startAll(mode: Mode, subjects: readonly Subject[]): Promise<Running[]> {
    const backendPort = mode.kind === 'stream' ? this.load.ports.stream : this.load.ports.unary;
    const target = { backendPort, kind: mode.kind, certs: this.certs };
    const running: Running[] = [];
    try {
      for (const s of subjects)
        running.push(await (mode.shape === 'pair' ? s.startPair!(target) : s.start(target)));
    } catch (error) {
      for (const r of running) await r.stop();
      throw error;
    }
    return running;
  }

  private async interleave(
    mode: Mode,
    subjects: readonly Subject[],
    running: readonly Running[],
    rate: number | undefined,
  ): Promise<SubjectResult[]> {
    const runs: Figures[][] = subjects.map(() => []);
    for (let round = 0; round < this.options.runs; round++) {
      for (const [i, subject] of subjects.entries()) {
        const figures = await this.one(mode, running[i]!, rate);
        runs[i]!.push(figures);
        const spoilt = figures.problem === '' ? '' : `  INVALID: ${figures.problem}`;
        const value =
          mode.compares === 'cpu' ? `${figures.cpuUs.toFixed(1)} µs CPU` : `p99 ${figures.p99Us} µs`;
        this.say(`  ${round + 1}/${this.options.runs} ${subject.name}: ${value}${spoilt}`);
      }
    }
    return subjects.map((s, i) => summarise(s.name, s.isPeer, runs[i]!));
  }

  private one(mode: Mode, subject: Running, rate: number | undefined): Promise<Figures> {
    const length = this.options.quick ? QUICK : FULL;
    this.seed += 0x1000;
    return measure({
      mode,
      subject,
      load: this.load,
      seed: this.seed,
      warmMs: length.warmMs,
      measureMs: rate === undefined || this.options.quick ? length.measureMs : PACED_MS,
      ...(rate === undefined ? {} : { ratePerSecond: rate }),
    });
  }
}

/** The plain Node pass-throughs cannot keep up with half of what the slowest peer can. */
function isAble(mode: Mode, subject: Subject): boolean {
  if (mode.shape === 'pair') return subject.startPair !== undefined;
  return mode.compares === 'cpu' || subject.isPeer || subject.name === 'outrider';
}

function slowestPeer(results: readonly SubjectResult[]): number {
  const peers = results.filter((r) => r.isPeer && r.problems.length === 0).map((r) => r.perSecond.median);
  if (peers.length === 0) throw new Error('no peer to take the rate from');
  return Math.min(...peers);
}
