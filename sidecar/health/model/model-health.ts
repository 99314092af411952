/**
 * Does the local model answer? Evidence first: an inference that went through proves it, and costs nothing. Only while
 * none did is the model asked directly, and only what a direct question brings can speak against it. So a busy model
 * is never probed, and a slow one has the time it usually takes.
 *
 * Nobody is judged while the model starts, nor from the silence of a time in which our own process stood still.
 */

import { Hysteresis, saysTheSame } from '../../core/health/hysteresis.js';
import { answerTimeoutMs } from '../../core/health/probe-timeout.js';
import type { Clock } from '../../runtime/time/clock.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { ModelProbe, ProbeAnswer } from './probe.js';

export interface ModelStatusReport {
  readonly ok: boolean;
  /** One sentence when not; it stays the same while the verdict does. */
  readonly why: string;
}

/** What the relay has seen of the model. */
export interface ModelSigns {
  /** Inferences that ended with OK so far. */
  readonly inferences: number;
  readonly inFlight: number;
  /** Upper range of recent run times, ms; 0 = unknown. */
  readonly usualMs: number;
  /** The latest deadline of those in flight, and of abandoned ones that may still run, monotonic ms; Infinity: one has none. */
  readonly lastDeadlineMs: number;
}

/** What is known of the model's process; only a `ready` one is judged. */
export type ModelPhase =
  | { readonly kind: 'ready' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'away'; readonly why: string };

export interface ModelHealthDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly probe: ModelProbe;
  /** Proof is wanted once in this time. */
  readonly intervalMs: number;
  activity(): ModelSigns;
  phase(): ModelPhase;
  /** Called after every change of the verdict. */
  onChange(verdict: ModelStatusReport): void;
}

const LONGEST_TICK_MS = 2_500;
/** Between probes while there is doubt. */
const DOUBT_MS = 1_000;
/** While no run time is known: alone, and behind work that may be a first, slow run. */
const UNKNOWN_TIMEOUT_MS = 6_000;
const UNKNOWN_BUSY_TIMEOUT_MS = 30_000;
/** While a probe waits, our own timers are watched at this pace; one that is late by more voids the probe. */
const BEAT_MS = 250;
/** Work without a deadline, or with a later one, excuses silence for so long: the default of `longest_run`. */
const LONGEST_BUSY_MS = 300_000;
const OWN_STALL_MS = 250;

export interface ModelHealthCounts {
  readonly passed: number;
  readonly failed: number;
  /** Probes whose silence was our own, or of a model at work. */
  readonly void: number;
}

export class ModelHealth {
  private readonly hysteresis = new Hysteresis(false);
  private why = 'the model is starting';
  private isReady = false;
  /** False: the model is ready, and has neither proved itself nor failed to. */
  isKnown = false;
  /** The model computed something wrong: no inference, only a right answer, clears it. */
  private isWrong = false;
  private inferences = 0;
  private lastProofMs = 0;
  private lastProbeMs = Number.NEGATIVE_INFINITY;
  /** Silence before this is the work's; 0: the model was not silent since its last proof. */
  private busyUntilMs = 0;
  /** How long the last probe that passed took; 0 = none did. */
  private probeMs = 0;
  private timer: Timer | undefined;
  private isProbing = false;
  /** A probe of an earlier life of the model says nothing about this one. */
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

  /** The model's process came or went: looks at once instead of at the next tick. */
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
      this.noteInferences(nowMs);
      if (this.wantsProbe(nowMs)) void this.ask();
    }
    const dueMs = this.hysteresis.isInDoubt || !this.hysteresis.isGood ? DOUBT_MS : this.deps.intervalMs;
    const delayMs = Math.min(dueMs, LONGEST_TICK_MS);
    this.timer = this.deps.timers.after(delayMs, () => this.tick(), { unref: true });
  }

  /** What is known of the process needs no second sample. */
  private notReady(phase: Exclude<ModelPhase, { kind: 'ready' }>): void {
    const why = phase.kind === 'starting' ? 'the model is starting' : phase.why;
    const isNews = this.isReady || !saysTheSame(why, this.why);
    if (this.isReady) this.generation += 1;
    this.isReady = false;
    this.isKnown = true;
    if (!isNews) return;
    this.why = why;
    this.hysteresis.settle(false);
    this.notify();
  }

  /** Another process perhaps: it has to prove itself anew, and is asked at once. */
  private becameReady(nowMs: number): void {
    this.isReady = true;
    this.isKnown = false;
    this.isWrong = false;
    this.inferences = this.deps.activity().inferences;
    this.lastProofMs = nowMs;
    this.busyUntilMs = 0;
    this.lastProbeMs = Number.NEGATIVE_INFINITY;
  }

  private noteInferences(nowMs: number): void {
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
      this.onProbeEnd(answer, isHeldUp, askedMs, proofMs);
  }

  /** @param proofMs the last proof there was when it was asked: an inference meanwhile speaks for the model. */
  private onProbeEnd(answer: ProbeAnswer, isHeldUp: boolean, askedMs: number, proofMs: number): void {
    const nowMs = this.deps.clock.now();
    this.noteInferences(nowMs);
    if (answer.kind === 'passed') {
      this.counts.passed += 1;
      this.isWrong = false;
      this.probeMs = nowMs - askedMs;
      this.markProven(nowMs);
    } else if (answer.kind === 'silent' && this.isBusy(nowMs)) {
      this.counts.void += 1;
    } else if (answer.kind === 'silent' && isHeldUp) {
      this.counts.void += 1;
      this.hysteresis.forget();
      this.lastProofMs = nowMs;
    } else if (answer.kind === 'wrong' || this.lastProofMs === proofMs) {
      this.counts.failed += 1;
      if (answer.kind === 'wrong') this.isWrong = true;
      const wasGood = this.hysteresis.isGood;
      if (this.hysteresis.sample(false) || !wasGood) this.markFailed(this.sentence(answer, nowMs));
    }
    this.tick();
  }

  /**
   * A question waits behind the work under way, which may take as long as its callers wait: of what ran when the silence
   * began, the latest deadline. Calls that come later do not make it longer.
   */
  private isBusy(nowMs: number): boolean {
    const { inFlight, lastDeadlineMs } = this.deps.activity();
    if (inFlight === 0 && lastDeadlineMs <= nowMs) return false;
    if (this.busyUntilMs === 0) this.busyUntilMs = Math.min(lastDeadlineMs, nowMs + LONGEST_BUSY_MS);
    return nowMs < this.busyUntilMs;
  }

  private sentence(answer: Exclude<ProbeAnswer, { kind: 'passed' }>, nowMs: number): string {
    if (answer.kind !== 'silent') return answer.why;
    const seconds = Math.round((nowMs - this.lastProofMs) / 1000);
    return `the model has not answered for ${seconds} s: no inference completed and ${this.deps.probe.name} got no answer`;
  }

  private markFailed(why: string): void {
    this.isKnown = true;
    if (saysTheSame(why, this.why)) return;
    this.why = why;
    this.notify();
  }

  private markProven(nowMs: number): void {
    this.lastProofMs = nowMs;
    this.busyUntilMs = 0;
    this.isKnown = true;
    if (!this.hysteresis.sample(true)) return;
    this.why = '';
    this.notify();
  }

  private notify(): void {
    this.deps.onChange(this.report());
  }

  private timeoutMs(): number {
    const { inFlight, usualMs } = this.deps.activity();
    const knownMs = inFlight > 0 ? usualMs : Math.max(usualMs, this.probeMs);
    if (knownMs <= 0) return inFlight > 0 ? UNKNOWN_BUSY_TIMEOUT_MS : UNKNOWN_TIMEOUT_MS;
    return answerTimeoutMs(knownMs);
  }
}
