import { AnswerSilence, type AnswersSeen } from './answer-silence.js';
import { CpuIdle } from './cpu-idle.js';
import { EndClass } from './process-end.js';

/** The model's work as the relay sees it; times are monotonic ms. */
export interface WorkSigns {
  readonly inFlight: number;
  /** Calls ended by caller or deadline while the model had them, since the start: it may still run them. */
  readonly abandoned: number;
  /** Of these, the ones before the last result: the model has finished them. */
  readonly settled: number;
  /** When the model last sent a result or a part of one; 0: never. */
  readonly lastAnswerMs: number;
  /** Latest deadline of the calls in flight and of those abandoned since the last result; Infinity: one has none. */
  readonly lastDeadlineMs: number;
  readonly answers: AnswersSeen;
}

/** Report of the watcher thread of the process. */
export interface WatcherSigns {
  /** Phi of its silence (phi-accrual.ts); 0 while it beats. */
  readonly phi: number;
  readonly silentForMs: number;
  /** Runs finished so far. */
  readonly runs: number;
  /** Age of the present run, and time until the last of its deadlines (Infinity: none). −1: nothing runs. */
  readonly runningForMs: number;
  readonly deadlineInMs: number;
}

/** One sample of a process. */
export interface ProcessSigns {
  /** State letter of proc(5): T stopped, Z a zombie; empty: not known. */
  readonly state: string;
  /** CPU it has used so far, ms; −1: not known. */
  readonly cpuMs: number;
  /** Null: there is none, or it was not asked. */
  readonly watcher: WatcherSigns | null;
}

/** The process hangs. */
export interface HangFinding {
  /** One sentence. */
  readonly why: string;
  /** What killing it now says about the calls in it. */
  readonly end: EndClass;
}

/** Stopped for longer than a debugger or a snapshot takes, ms. */
const STOPPED_MS = 2_000;
const SILENT_PHI = 12;
/** Tolerance after the last deadline, ms: work that ends late, and callers that pass their deadlines on. */
const GRACE_MS = 1_000;
/** No CPU use for this long after that, ms. */
const NO_CPU_MS = 3_000;
/** Unanswered health checks in a row that support other evidence; and that suffice while nothing is under way. */
const UNANSWERED = 2;
const UNANSWERED_IDLE = 5;
/** A report of the watcher up to this age is current, ms. */
const FRESH_MS = 2_000;
/** A process that used CPU within this time before it was killed was busy, ms. */
const BUSY_MS = 3_000;
/** Work without a sign of life for this long is sampled more closely, ms. */
const DOUBT_MS = 1_000;

const NOT_YET = -1;

/**
 * Whether the local model's process hangs. A long run alone proves nothing: runs of one model differ a thousandfold, health
 * responses wait behind them, and a run on a GPU uses no CPU. One of six kinds of evidence is needed (decisions/0020): the process
 * is stopped; its watcher thread is silent; a run exceeds `longest_run`; the deadlines of all that may run have passed and no
 * CPU is used; it answers nothing though nothing is under way; or, an engine, it has sent no byte of any answer for
 * `longest_run`, though some have begun. Never across a stall of this process (Lifeguard;
 * Cassandra's local-pause guard).
 */
export class HangDiagnosis {
  private readonly cpu = new CpuIdle();
  private readonly silence = new AnswerSilence();
  private silentMs = 0;
  /** Health checks in a row that were not answered. */
  unanswered = 0;
  /** The last result, health answer or finished run. */
  private signMs: number;
  private lastAnswerMs: number;
  private watcherRuns = NOT_YET;
  /** Abandoned calls before the last sign of life, which do not count. */
  private settled: number;
  /** Since when there has been work without a sign of life. */
  private workSinceMs = NOT_YET;
  private stoppedSinceMs = NOT_YET;
  /**
   * Calls keep arriving while a process hangs, each with its deadline. What may run is one of the calls in flight when the silence
   * began, or one of those in flight when the last deadline of these had passed: two generations.
   */
  private generation = 0;
  private generationEndMs = 0;

  constructor(
    private readonly longestRunMs: number,
    { lastAnswerMs, abandoned }: WorkSigns,
    nowMs: number,
  ) {
    this.signMs = nowMs;
    this.lastAnswerMs = lastAnswerMs;
    this.settled = abandoned;
  }

  /** This process stood still until `nowMs`: what was missed before does not count. */
  stalled(work: WorkSigns, nowMs: number): void {
    this.alive(work.abandoned, nowMs);
    this.stoppedSinceMs = NOT_YET;
    this.silence.stalled(nowMs);
    this.silentMs = 0;
    this.cpu.forget();
  }

  /** Whether the process has to be sampled often: its CPU, its watcher, its health. */
  isInDoubt(work: WorkSigns, nowMs: number): boolean {
    if (this.unanswered > 0 || this.stoppedSinceMs !== NOT_YET) return true;
    return this.workSinceMs !== NOT_YET && this.hasWork(work) && nowMs - this.quietSinceMs() >= DOUBT_MS;
  }

  /** Whether nothing is under way and nothing is wrong. */
  isIdle(work: WorkSigns): boolean {
    return this.unanswered === 0 && this.stoppedSinceMs === NOT_YET && !this.hasWork(work);
  }

  /** Null: there is no evidence that it hangs. */
  diagnose(work: WorkSigns, signs: ProcessSigns, nowMs: number): HangFinding | null {
    this.update(work, signs.watcher, nowMs);
    this.silentMs = this.silence.look(work.answers, nowMs);
    this.cpu.sample(signs.cpuMs, nowMs);
    return (
      this.checkState(signs.state, nowMs) ??
      this.checkWatcher(signs.watcher, nowMs) ??
      this.checkRun(work, signs.watcher, nowMs) ??
      this.checkAnswers() ??
      this.checkIdle(work, signs.watcher, nowMs)
    );
  }

  // ---- evidence ----

  private checkState(state: string, nowMs: number): HangFinding | null {
    if (state !== 'T' && state !== 'Z') {
      this.stoppedSinceMs = NOT_YET;
      return null;
    }
    if (this.stoppedSinceMs === NOT_YET) this.stoppedSinceMs = nowMs;
    const forMs = nowMs - this.stoppedSinceMs;
    if (forMs < STOPPED_MS) return null;
    const what = state === 'T' ? 'the process has been stopped' : 'the process has been a zombie';
    return { why: `${what} (state ${state}) for ${seconds(forMs)}`, end: EndClass.killedFrozen };
  }

  private checkWatcher(watcher: WatcherSigns | null, nowMs: number): HangFinding | null {
    if (watcher === null || watcher.phi < SILENT_PHI || this.unanswered < UNANSWERED) return null;
    // As long as anything else comes from the process, the watcher itself may be broken.
    if (nowMs - this.signMs < watcher.silentForMs) return null;
    const why = `its watcher thread has been silent for ${seconds(watcher.silentForMs)} and ${this.checks()}`;
    return { why, end: this.endNow(nowMs) };
  }

  private checkRun(work: WorkSigns, watcher: WatcherSigns | null, nowMs: number): HangFinding | null {
    const known = watcher !== null && watcher.silentForMs < FRESH_MS && watcher.runningForMs >= 0;
    if (known) {
      if (watcher.runningForMs >= this.longestRunMs) return this.tooLong(watcher.runningForMs, '', nowMs);
      const overdueMs = -watcher.deadlineInMs;
      return this.unanswered >= UNANSWERED ? this.overdue(overdueMs, 'the run under way', nowMs) : null;
    }
    if (!this.hasWork(work)) return null;
    this.nextGeneration(work, nowMs);
    if (this.unanswered < UNANSWERED) return null;
    const quietMs = nowMs - this.quietSinceMs();
    if (quietMs >= this.longestRunMs) return this.tooLong(quietMs, `, and ${this.checks()}`, nowMs);
    if (this.generation < 2) return null;
    return this.overdue(nowMs - this.generationEndMs, 'all calls under way', nowMs);
  }

  /**
   * What health checks say is no matter: the front of an engine answers them when the core behind it hangs. Nor does CPU: workers may spin while they
   * wait for a device, and hundreds of answers are inside, of which it would accuse each.
   */
  private checkAnswers(): HangFinding | null {
    if (this.silentMs < this.longestSilenceMs) return null;
    const limit = seconds(this.longestRunMs);
    const why = `no byte of any answer for ${seconds(this.silentMs)}, longer than longest_run (${limit}), though answers that have begun wait for more`;
    return { why, end: EndClass.killedFrozen };
  }

  private get longestSilenceMs(): number {
    return this.silence.limitMs(this.longestRunMs);
  }

  private checkIdle(work: WorkSigns, watcher: WatcherSigns | null, nowMs: number): HangFinding | null {
    if (this.unanswered < UNANSWERED_IDLE || this.hasWork(work)) return null;
    if (watcher !== null && watcher.runningForMs >= 0) return null;
    return { why: `${this.checks()} though nothing was under way`, end: this.endNow(nowMs) };
  }

  private tooLong(forMs: number, more: string, nowMs: number): HangFinding {
    const why = `no result for ${seconds(forMs)}, longer than longest_run (${seconds(this.longestRunMs)})${more}`;
    return { why, end: this.endNow(nowMs) };
  }

  private overdue(overdueMs: number, what: string, nowMs: number): HangFinding | null {
    const idleMs = Math.min(overdueMs - GRACE_MS, this.cpu.idleForMs(nowMs));
    if (idleMs < NO_CPU_MS) return null;
    const why = `the deadline of ${what} passed ${seconds(overdueMs)} ago, no CPU was used for ${seconds(this.cpu.idleForMs(nowMs))}, and ${this.checks()}`;
    return { why, end: EndClass.killedFrozen };
  }

  // ---- state ----

  private update(work: WorkSigns, watcher: WatcherSigns | null, nowMs: number): void {
    const isRunDone = watcher !== null && this.watcherRuns !== NOT_YET && watcher.runs > this.watcherRuns;
    if (isRunDone) this.alive(work.abandoned, nowMs);
    else if (work.lastAnswerMs !== this.lastAnswerMs) this.alive(work.settled, nowMs);
    this.lastAnswerMs = work.lastAnswerMs;
    if (watcher !== null) this.watcherRuns = watcher.runs;
    if (!this.hasWork(work)) this.workSinceMs = NOT_YET;
    else if (this.workSinceMs === NOT_YET) this.workSinceMs = nowMs;
  }

  /** A sign of life; so many of the abandoned calls do not count from now on. */
  alive(settled: number, nowMs: number): void {
    this.signMs = nowMs;
    this.unanswered = 0;
    this.settled = Math.max(this.settled, settled);
    this.workSinceMs = NOT_YET;
    this.generation = 0;
  }

  private hasWork({ inFlight, abandoned }: WorkSigns): boolean {
    return inFlight > 0 || abandoned > this.settled;
  }

  private quietSinceMs(): number {
    return Math.max(this.signMs, this.workSinceMs);
  }

  private nextGeneration({ lastDeadlineMs }: WorkSigns, nowMs: number): void {
    if (this.generation === 2 || (this.generation === 1 && nowMs < this.generationEndMs)) return;
    this.generation += 1;
    this.generationEndMs = lastDeadlineMs;
  }

  /** What killing it now says about the calls in it. */
  private endNow(nowMs: number): EndClass {
    return this.cpu.hasUsed(BUSY_MS, nowMs) ? EndClass.killedBusy : EndClass.killedFrozen;
  }

  private checks(): string {
    return `${this.unanswered} health checks in a row went unanswered`;
  }
}

/** In words, to a tenth. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
