/**
 * The relay benchmark: for each mode all subjects are started, then measured in turn (A B C A B C …), so that what
 * the machine does meanwhile falls on all of them, and stopped.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { residentBytes } from '../../kit/process/processes.js';
import { writeCertificates } from '../certs.js';
import { LARGE_MESSAGE_BYTES } from '../load/protocol.js';
import type { LoadProcess } from '../load-process.js';
import { type BenchOptions, chosen } from '../options.js';
import { envoy, haproxy, nginx } from '../subjects/native.js';
import { outrider, outriderBefore } from '../subjects/outrider.js';
import { ALL, PLAIN } from '../subjects/outrider-config.js';
import { grpcJs, netPipe, nodeHttp2 } from '../subjects/plain-node.js';
import { type Running, type Subject, versionsOf } from '../subjects/subject.js';
import { findTool } from '../subjects/tools.js';
import { tracedSubjects } from '../subjects/traced.js';
import { describeMachine } from './machine.js';
import { type Figures, measure, type RunLength } from './measure.js';
import { MODES, type Mode } from './modes.js';
import { profilesIn, profilingFlags, renderProfile } from './profile.js';
import { type Interval, judge, type ModeResult, type SubjectResult, summarise, valueIn } from './results.js';

const FULL: RunLength = { warmMs: 1500, measureMs: 3000 };
const QUICK: RunLength = { warmMs: 300, measureMs: 700 };
/** A paced run needs enough calls behind its p99. */
const PACED_MS = 6000;

/** A process without calls is looked at after this long. */
const IDLE_MS = 10_000;
/** A ratio whose interval is wider than this to either side is measured again, so often in all at most. */
const WIDE = 0.1;
const MOST_RUNS = 25;

const NO_FIGURES = {
  cpuUs: 0,
  perSecond: 0,
  p50Us: 0,
  p99Us: 0,
  rssMb: 0,
  loadCpuUs: 0,
  readyMs: 0,
  calls: 0,
};

type Started = Running | { readonly problem: string };

/** `profile`: folder in which our own processes leave CPU profiles. `before`: a clone with another build of ours. */
export function allSubjects(profile?: string, before?: string): Subject[] {
  const flags = profilingFlags(profile);
  const ours = [outrider('plain', flags), outrider(ALL, flags)];
  const others = [nginx(), haproxy(), envoy(), netPipe(), nodeHttp2(), grpcJs()];
  if (before === undefined) return [...ours, ...others];
  return [...ours, outriderBefore(before, 'plain'), outriderBefore(before, ALL), ...others];
}

/** All modes, and the machine they were measured on. */
export type Report = Awaited<ReturnType<typeof benchRelay>>;

/** Measures all chosen modes and subjects; what is not installed is left out and said. */
export async function benchRelay(options: BenchOptions, load: LoadProcess, say: (line: string) => void) {
  const flags = profilingFlags(options.profile);
  const known = [
    ...chosen(allSubjects(options.profile, options.before), options.only),
    ...options.without.map((block) => outrider({ everythingBut: block }, flags)),
  ];
  for (const s of known) if ('missing' in s.version) say(`${s.name} is not here: ${s.version.missing}`);
  const subjects = known.filter((s) => 'found' in s.version);
  const bench = new RelayBench(options, load, subjects, await writeCertificates(), say);
  const modes: ModeResult[] = [];
  for (const mode of chosen(MODES, options.only)) {
    if (mode.load === 'h2load' && findTool('h2load') === undefined)
      say(`${mode.name}: h2load is not here, left out`);
    else modes.push(await bench.mode(mode));
  }
  return { machine: describeMachine(), versions: versionsOf(subjects), runs: options.runs, modes };
}

class RelayBench {
  private seed = (Date.now() & 0x7fffffff) | 1;
  /** Calls per second of the slowest subject in a mode that others take their rate from, once known. */
  private readonly slowest = new Map<string, number>();

  constructor(
    private readonly options: BenchOptions,
    private readonly load: LoadProcess,
    private readonly subjects: readonly Subject[],
    private readonly certs: string,
    private readonly say: (line: string) => void,
  ) {}

  async mode(mode: Mode): Promise<ModeResult> {
    const rate = await this.rateOf(mode);
    if (rate === 0) {
      this.say(`${mode.name}: no peer to take the rate from, left out`);
      return judge(mode, []);
    }
    this.say(`${mode.name}: ${mode.title}`);
    const able = this.subjectsOf(mode);
    const running = await this.startAll(mode, able);
    try {
      if (!mode.isAbsolute) for (const r of running) if ('port' in r) await this.warmUp(mode, r);
      const results = await this.interleave(mode, able, running, rate);
      if (MODES.some(({ pacedBy }) => pacedBy === mode.name)) this.slowest.set(mode.name, slowestOf(results));
      return judge(mode, results, rate);
    } finally {
      const before = new Set(this.options.profile === undefined ? [] : profilesIn(this.options.profile));
      for (const r of running) if ('port' in r) await r.stop();
      this.sayProfiles(before);
    }
  }

  private subjectsOf(mode: Mode): readonly Subject[] {
    if (mode.traced !== undefined) return tracedSubjects(mode.traced, profilingFlags(this.options.profile));
    return this.subjects.filter((s) => isAble(mode, s));
  }

  /** Of a paced mode, calls/s; 0: it cannot be told. */
  private async rateOf({ pacedBy }: Mode): Promise<number | undefined> {
    if (pacedBy === undefined) return undefined;
    if (!this.slowest.has(pacedBy)) await this.mode(MODES.find(({ name }) => name === pacedBy)!);
    return (this.slowest.get(pacedBy) ?? 0) / 2;
  }

  private sayProfiles(before: ReadonlySet<string>): void {
    const dir = this.options.profile;
    if (dir === undefined) return;
    for (const name of profilesIn(dir)) if (!before.has(name)) this.say(renderProfile(dir, name));
  }

  private async startAll(mode: Mode, subjects: readonly Subject[]): Promise<Started[]> {
    const target = {
      backendPort: this.load.ports[mode.kind],
      asidePort: this.load.ports.aside,
      kind: mode.kind,
      certs: this.certs,
    };
    const started: Started[] = [];
    for (const s of subjects) {
      try {
        started.push(await (mode.shape === 'pair' ? s.startPair!(target) : s.start(target)));
      } catch (error) {
        started.push({ problem: error instanceof Error ? error.message : String(error) });
      }
    }
    return started;
  }

  /** Many calls at once, whatever the mode: compilers and pools are to be where they stay before anything is measured. */
  private async warmUp(mode: Mode, subject: Running): Promise<void> {
    const isSmall = mode.requestBytes < LARGE_MESSAGE_BYTES && mode.kind === 'unary';
    const inFlight = isSmall ? 32 : mode.inFlight;
    const busy: Mode = { ...mode, load: 'generator', inFlight, connections: Math.min(4, mode.connections) };
    const measureMs = this.options.quick ? 500 : 2000;
    await measure({ mode: busy, subject, load: this.load, seed: this.nextSeed(), warmMs: 0, measureMs });
  }

  private async interleave(
    mode: Mode,
    subjects: readonly Subject[],
    running: readonly Started[],
    rate: number | undefined,
  ): Promise<SubjectResult[]> {
    const runs: Figures[][] = subjects.map(() => []);
    const resultsSoFar = () => subjects.map((s, i) => summarise(s, runs[i]!, mode));
    const { runs: wanted } = this.options;
    for (let round = 0; round < wanted || this.isUnclear(mode, resultsSoFar(), round); round++) {
      const directUs = mode.compares === 'added-p99' ? await this.direct(mode) : 0;
      // Forth and back, so that none is always the first or the last.
      const order = [...subjects.entries()];
      for (const [i, subject] of round % 2 === 0 ? order : order.reverse()) {
        const raw = await this.one(mode, running[i]!, rate);
        // Less than a microsecond is below what the clock tells.
        const figures = directUs === 0 ? raw : { ...raw, p99Us: Math.max(1, raw.p99Us - directUs) };
        runs[i]!.push(figures);
        const spoilt = figures.problem === '' ? '' : `  INVALID: ${figures.problem}`;
        this.say(`  ${round + 1}/${wanted} ${subject.name}: ${valueIn(mode, figures)}${spoilt}`);
      }
    }
    return resultsSoFar();
  }

  /** Whether more runs may tell what these do not; not where a number of runs was asked for. */
  private isUnclear(mode: Mode, results: readonly SubjectResult[], rounds: number): boolean {
    if (this.options.isRunsGiven || rounds >= MOST_RUNS) return false;
    const { ratio, interval } = judge(mode, results);
    return ratio !== undefined && interval !== undefined && isWide(ratio, interval);
  }

  /** The p99 without a proxy, µs. */
  private async direct(mode: Mode): Promise<number> {
    const none = { lastWords: () => '', pids: () => [], stop: async () => {}, readyMs: 0 };
    const { p99Us } = await this.one(mode, { ...none, port: this.load.ports[mode.kind] }, undefined);
    return p99Us;
  }

  private async one(mode: Mode, subject: Started, rate: number | undefined): Promise<Figures> {
    if (!('port' in subject)) return { ...NO_FIGURES, problem: subject.problem };
    if (mode.compares === 'ready') return { ...NO_FIGURES, readyMs: subject.readyMs, problem: '' };
    if (mode.compares === 'idle-memory') {
      await sleep(this.options.quick ? 500 : IDLE_MS);
      return { ...NO_FIGURES, rssMb: residentBytes(subject.pids(), 'VmRSS') / 1e6, problem: '' };
    }
    const length = this.options.quick ? QUICK : FULL;
    const paced = rate !== undefined && {
      ratePerSecond: rate,
      ...(!this.options.quick && { measureMs: PACED_MS }),
    };
    return measure({ mode, subject, load: this.load, seed: this.nextSeed(), ...length, ...paced });
  }

  private nextSeed(): number {
    this.seed += 0x1000;
    return this.seed;
  }
}

/** The plain Node pass-throughs cannot keep up with half of what the slowest peer can. */
function isAble(mode: Mode, subject: Subject): boolean {
  if (mode.shape === 'pair') return subject.startPair !== undefined;
  return mode.compares === 'cpu' || subject.isPeer || subject.name.startsWith(PLAIN);
}

/** Calls/s of the slowest peer, or of ours where that is slower; 0 without a peer. */
function slowestOf(results: readonly SubjectResult[]): number {
  const sound = results.filter((r) => r.problems.length === 0);
  if (!sound.some((r) => r.isPeer)) return 0;
  return Math.min(...sound.filter((r) => r.isPeer || r.name === PLAIN).map((r) => r.perSecond.median));
}

function isWide(ratio: number, { from, to }: Interval): boolean {
  return Math.max(to - ratio, ratio - from) > WIDE * ratio;
}
