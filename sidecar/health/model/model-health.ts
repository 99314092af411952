import { Hysteresis, isSameExceptNumbers } from '../../core/health/hysteresis.js';
import { answerTimeoutMs } from '../../core/health/probe-timeout.js';
import type { TimeDeps } from '../../runtime/deps.js';
import type { Timer } from '../../runtime/time/timers.js';
import type { ModelProbe, ProbeAnswer } from './probe.js';

/** Whether a model works. */
export interface ModelStatusReport {
  readonly ok: boolean;
  /** One sentence when it does not, the same for as long as the reason is the same. */
  readonly why: string;
}

/** What calls have shown of the model. */
export interface ModelSigns {
  /** Inferences that ended with OK so far. */
  readonly inferences: number;
  readonly inFlight: number;
  /** Upper range of recent run times, ms; 0 = unknown. */
  readonly usualMs: number;
  /**
   * Latest deadline of calls in flight and of abandoned ones that may still run, monotonic ms;
   * Infinity: no deadline.
   */
  readonly lastDeadlineMs: number;
}

/** State of the model's process; only a `ready` model is probed. */
export type ModelPhase =
  | { readonly kind: 'ready' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'away'; readonly why: string };

export interface ModelHealthDeps extends TimeDeps {
  readonly probe: ModelProbe;
  /** An inference or a probe has to succeed once in this time, ms. */
  readonly intervalMs: number;
  activity(): ModelSigns;
  phase(): ModelPhase;
  /** Called after every change of the report. */
  onChange(report: ModelStatusReport): void;
}

/** Longest time between two looks at activity and process. */
const LONGEST_TICK_MS = 2_500;
/** Between two probes while the model is unhealthy or in doubt. */
const DOUBT_MS = 1_000;
/**
 * Probe timeouts while no run time is known: of an idle model, and behind work that may be a first,
 * slow run.
 */
const UNKNOWN_TIMEOUT_MS = 6_000;
const UNKNOWN_BUSY_TIMEOUT_MS = 30_000;
/**
 * During a probe a timer runs at this period; when it is late by more than `OWN_STALL_MS`, a
 * timeout is void.
 */
const BEAT_MS = 250;
/** Longest silence that work in flight explains: the default of `longest_run`. */
const LONGEST_BUSY_MS = 300_000;
const OWN_STALL_MS = 250;

/** Probes by result; `void`: timeouts during a stall of our own process, or while the model was at work. */
export type ModelHealthCounts = Readonly<Record<'passed' | 'failed' | 'void', number>>;

/**
 * Whether the local model works. An inference that succeeds is proof and costs nothing; the model
 * is probed only when none has succeeded for `intervalMs`, and only a probe can speak against it.
 * So a busy model is not probed, and a slow one gets the time that it usually takes. While the
 * model starts, and after a stall of our own process, nothing is concluded.
 */
export class ModelHealth {
  private readonly hysteresis = new Hysteresis(false);
  private why = 'the model is starting';
  private isReady = false;
  /** False while the model is ready and neither an inference nor a probe has shown anything. */
  isKnown = false;
  /** A probe got a wrong answer: only a probe that passes clears this, no inference does. */
  private isWrong = false;
  private inferences = 0;
  private lastProofMs = 0;
  private lastProbeMs = Number.NEGATIVE_INFINITY;
  /**
   * Silence before this time is explained by work in flight; 0: not silent since the last proof.
   */
  private busyUntilMs = 0;
  /** Duration of the last probe that passed, ms; 0: none did. */
  private probeMs = 0;
  private timer: Timer | undefined;
  private isProbing = false;
  /** Counts starts of the model: the answer to a probe of an earlier process is dropped. */
  private generation = 0;
  private isClosed = false;
  private readonly counts = { passed: 0, failed: 0, void: 0 };

  constructor(private readonly deps: ModelHealthDeps) {}

  start(): void {
    this.tick();
  }

  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
    this.deps.probe.close();
  }

  report(): ModelStatusReport {
    return { ok: this.hysteresis.isGood, why: this.hysteresis.isGood ? '' : this.why };
  }

  probes(): ModelHealthCounts {
    return { ...this.counts };
  }

  /** The model's process has started or ended: looked at now instead of at the next tick. */
  changed(): void {
    if (!this.isClosed && this.timer !== undefined) this.tick();
  }

  private tick(): void {
    this.timer?.cancel();
    const nowMs = this.deps.clock.now();
    const phase = this.deps.phase();
    if (phase.kind !== 'ready') this.notReady(phase);
    else {
      if (!this.isReady) this.becameReady(nowMs);
      this.recordInferences(nowMs);
      if (this.wantsProbe(nowMs)) void this.ask();
    }
    const dueMs = this.hysteresis.isInDoubt || !this.hysteresis.isGood ? DOUBT_MS : this.deps.intervalMs;
    const delayMs = Math.min(dueMs, LONGEST_TICK_MS);
    this.timer = this.deps.timers.after(delayMs, () => this.tick(), { unref: true });
  }

  /** The state of the process needs no second sample. */
  private notReady(phase: Exclude<ModelPhase, { kind: 'ready' }>): void {
    const why = phase.kind === 'starting' ? 'the model is starting' : phase.why;
    const isNew = this.isReady || !isSameExceptNumbers(why, this.why);
    if (this.isReady) this.generation += 1;
    this.isReady = false;
    this.isKnown = true;
    if (!isNew) return;
    this.why = why;
    this.hysteresis.set(false);
    this.deps.onChange(this.report());
  }

  /** The process may be another one: nothing is known of it, and it is probed at once. */
  private becameReady(nowMs: number): void {
    this.isReady = true;
    this.isKnown = false;
    this.isWrong = false;
    this.inferences = this.deps.activity().inferences;
    this.lastProofMs = nowMs;
    this.busyUntilMs = 0;
    this.lastProbeMs = Number.NEGATIVE_INFINITY;
  }

  private recordInferences(nowMs: number): void {
    const { inferences } = this.deps.activity();
    const went = inferences !== this.inferences;
    this.inferences = inferences;
    if (went && !this.isWrong) this.markProven(nowMs);
  }

  private wantsProbe(nowMs: number): boolean {
    if (this.isProbing) return false;
    const { intervalMs } = this.deps;
    if (!this.hysteresis.isGood || this.hysteresis.isInDoubt)
      return nowMs - this.lastProbeMs >= Math.min(DOUBT_MS, intervalMs);
    return nowMs - Math.max(this.lastProofMs, this.lastProbeMs) >= intervalMs;
  }

  private async ask(): Promise<void> {
    const { clock, timers, probe } = this.deps;
    const { generation } = this;
    const askedMs = clock.now();
    const proofMs = this.lastProofMs;
    this.lastProbeMs = askedMs;
    this.isProbing = true;
    let beatMs = askedMs;
    let isHeldUp = false;
    const beat = (): void => {
      const nowMs = clock.now();
      if (nowMs - beatMs > BEAT_MS + OWN_STALL_MS) isHeldUp = true;
      beatMs = nowMs;
    };
    const beats = timers.every(BEAT_MS, beat, { unref: true });
    const answer = await probe.ask(this.timeoutMs());
    beats.cancel();
    beat();
    this.isProbing = false;
    if (!this.isClosed && generation === this.generation && this.isReady)
      this.onProbeEnd(answer, { isHeldUp, askedMs, proofMs });
  }

  /**
   * @param isHeldUp our own process stalled meanwhile.
   * @param proofMs the last proof when the probe began: an inference since then outweighs a
   * failure.
   */
  private onProbeEnd(
    answer: ProbeAnswer,
    { isHeldUp, askedMs, proofMs }: { isHeldUp: boolean; askedMs: number; proofMs: number },
  ): void {
    const nowMs = this.deps.clock.now();
    this.recordInferences(nowMs);
    if (answer.kind === 'passed') {
      this.counts.passed += 1;
      this.isWrong = false;
      this.probeMs = nowMs - askedMs;
      this.markProven(nowMs);
    } else if (answer.kind === 'silent' && this.isBusy(nowMs)) {
      this.counts.void += 1;
    } else if (answer.kind === 'silent' && isHeldUp) {
      this.counts.void += 1;
      this.hysteresis.reset();
      this.lastProofMs = nowMs;
    } else if (answer.kind === 'wrong' || this.lastProofMs === proofMs) {
      this.counts.failed += 1;
      if (answer.kind === 'wrong') this.isWrong = true;
      const wasGood = this.hysteresis.isGood;
      if (this.hysteresis.sample(false) || !wasGood) this.markFailed(this.whyProbeFailed(answer, nowMs));
    }
    this.tick();
  }

  /**
   * Whether work in flight explains silence: a probe waits behind it. The limit is the latest
   * deadline of the calls in flight when the silence began; later calls do not extend it.
   */
  private isBusy(nowMs: number): boolean {
    const { inFlight, lastDeadlineMs } = this.deps.activity();
    if (inFlight === 0 && lastDeadlineMs <= nowMs) return false;
    if (this.busyUntilMs === 0) this.busyUntilMs = Math.min(lastDeadlineMs, nowMs + LONGEST_BUSY_MS);
    return nowMs < this.busyUntilMs;
  }

  private whyProbeFailed(answer: Exclude<ProbeAnswer, { kind: 'passed' }>, nowMs: number): string {
    if (answer.kind !== 'silent') return answer.why;
    const seconds = Math.round((nowMs - this.lastProofMs) / 1000);
    return `the model has not answered for ${seconds} s: no inference completed and ${this.deps.probe.name} got no answer`;
  }

  private markFailed(why: string): void {
    this.isKnown = true;
    if (isSameExceptNumbers(why, this.why)) return;
    this.why = why;
    this.deps.onChange(this.report());
  }

  private markProven(nowMs: number): void {
    this.lastProofMs = nowMs;
    this.busyUntilMs = 0;
    this.isKnown = true;
    if (!this.hysteresis.sample(true)) return;
    this.why = '';
    this.deps.onChange(this.report());
  }

  private timeoutMs(): number {
    const { inFlight, usualMs } = this.deps.activity();
    const knownMs = inFlight > 0 ? usualMs : Math.max(usualMs, this.probeMs);
    if (knownMs <= 0) return inFlight > 0 ? UNKNOWN_BUSY_TIMEOUT_MS : UNKNOWN_TIMEOUT_MS;
    return answerTimeoutMs(knownMs);
  }
}
