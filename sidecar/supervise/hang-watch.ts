/**
 * Feeds the liveness decision (core/liveness.ts): reads the relay's evidence, asks the model directly when that
 * leaves a doubt, and notices when it was our own process that stood still.
 *
 * Idle, it asks every five seconds; in doubt, every second. It looks twice a second while there is work and wakes
 * less often otherwise, because an idle sidecar costs no CPU. It never kills: it tells, once, and stops.
 */

import { answerTimeoutMs } from '../core/answer-timeout.js';
import { Liveness, ModelLiveness, type WorkEvidence } from '../core/liveness.js';
import { EndClass } from '../core/process-end.js';
import type { Clock } from '../runtime/clock.js';
import type { Timer, Timers } from '../runtime/timers.js';
import type { Probe, Watch, WatchEvents } from './supervised-process.js';

/** The relay's evidence, and how much work the model was given in all. */
export interface ModelWork extends WorkEvidence {
  readonly started: number;
}

export interface HangWatchDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly probe: Probe;
  evidence(): ModelWork;
}

const TICK_MS = 500;
const IDLE_TICK_MS = 2_500;
const PROBE_PERIOD_MS = 5_000;
const DOUBT_PERIOD_MS = 1_000;
/** While no run time is known the model may be in its first, slow run: five silences then take half a minute. */
const UNKNOWN_PROBE_TIMEOUT_MS = 6_000;
/** A timer later than this was held up by our own process, which then judges nobody. */
const OWN_STALL_MS = 750;

export class HangWatch implements Watch {
  private readonly liveness = new ModelLiveness();
  private timer!: Timer;
  private nextTickMs = 0;
  private lastProbeMs: number;
  private probing = false;
  private failedProbes = 0;
  private stopped = false;
  /** Since when there has been work without a result; 0 = there is none. */
  private quietWorkMs = 0;
  private completed: number;
  private started: number;
  /** Work that had ended, with a result or without, when the model last gave a sign of life. */
  private settled = 0;

  constructor(
    private readonly deps: HangWatchDeps,
    private readonly events: WatchEvents,
  ) {
    const nowMs = deps.clock.now();
    this.lastProbeMs = nowMs;
    const { completed, started } = deps.evidence();
    this.completed = completed;
    this.started = started;
    this.settle();
    this.liveness.restarted(nowMs);
    this.tickIn(IDLE_TICK_MS, nowMs);
  }

  stop(): void {
    this.stopped = true;
    this.timer.cancel();
  }

  private tickIn(delayMs: number, nowMs: number): void {
    this.nextTickMs = nowMs + delayMs;
    this.timer = this.deps.timers.after(delayMs, () => this.tick(), { unref: true });
  }

  private tick(): void {
    const nowMs = this.deps.clock.now();
    if (nowMs - this.nextTickMs > OWN_STALL_MS) this.stalled(nowMs);
    const seen = this.deps.evidence();
    const isIdle = seen.inFlight === 0 && seen.started === this.started && this.failedProbes === 0;
    const evidence = this.continued(seen);
    const verdict = this.liveness.judge(evidence, nowMs);
    if (verdict === Liveness.hung) {
      this.convict(evidence, nowMs);
      return;
    }
    this.tickIn(isIdle && !this.probing ? IDLE_TICK_MS : TICK_MS, nowMs);
    if (this.wantsProbe(verdict, evidence, nowMs)) void this.ask(evidence.usualMs);
  }

  /**
   * Work whose caller gave up is gone from the relay and still keeps a model busy, or shows that it is frozen. So
   * it counts as under way until the model gives a sign of life: a result, or an answer to a probe.
   */
  private continued(seen: ModelWork): WorkEvidence {
    if (seen.completed !== this.completed) this.settle();
    this.completed = seen.completed;
    this.started = seen.started;
    const abandoned = seen.started - seen.inFlight - this.settled;
    if (seen.inFlight === 0 && abandoned <= 0) return seen;
    if (this.quietWorkMs === 0) this.quietWorkMs = seen.oldestStartMs || this.deps.clock.now();
    return { ...seen, inFlight: Math.max(1, seen.inFlight), oldestStartMs: this.quietWorkMs };
  }

  /** A sign of life: nothing that ended before it is held against the model. */
  private settle(): void {
    const { started, inFlight } = this.deps.evidence();
    this.settled = started - inFlight;
    this.quietWorkMs = 0;
  }

  private wantsProbe(verdict: Liveness, evidence: WorkEvidence, nowMs: number): boolean {
    if (this.probing) return false;
    const quietForMs =
      evidence.inFlight === 0 ? 0 : nowMs - Math.max(evidence.lastCompletionMs, evidence.oldestStartMs);
    const inDoubt =
      verdict !== Liveness.alive ||
      this.failedProbes > 0 ||
      (evidence.usualMs > 0 && quietForMs >= this.liveness.quietLimitMs(evidence.usualMs) / 2);
    return nowMs - this.lastProbeMs >= (inDoubt ? DOUBT_PERIOD_MS : PROBE_PERIOD_MS);
  }

  private async ask(usualMs: number): Promise<void> {
    const timeoutMs = usualMs > 0 ? answerTimeoutMs(usualMs) : UNKNOWN_PROBE_TIMEOUT_MS;
    const askedMs = this.deps.clock.now();
    this.lastProbeMs = askedMs;
    this.probing = true;
    const health = await this.deps.probe.check(timeoutMs);
    this.probing = false;
    if (this.stopped) return;
    const nowMs = this.deps.clock.now();
    if (health.kind === 'silent') {
      this.silent(nowMs, nowMs - askedMs - timeoutMs);
      return;
    }
    this.failedProbes = 0;
    this.settle();
    this.liveness.probePassed(nowMs);
    if (health.kind === 'not-serving') {
      this.stop();
      this.events.onNotServing(health.why);
    }
  }

  private silent(nowMs: number, lateMs: number): void {
    if (lateMs > OWN_STALL_MS) {
      this.stalled(nowMs);
    } else {
      this.failedProbes++;
      this.liveness.probeFailed();
      this.timer.cancel();
      this.tick();
    }
  }

  private stalled(nowMs: number): void {
    this.failedProbes = 0;
    this.settle();
    this.liveness.stalled(nowMs);
  }

  private convict(evidence: WorkEvidence, nowMs: number): void {
    this.stop();
    const probes = `${this.failedProbes} health checks in a row went unanswered`;
    const { inFlight, lastCompletionMs, oldestStartMs } = evidence;
    const quietMs = nowMs - Math.max(lastCompletionMs, oldestStartMs);
    const work =
      inFlight === 0
        ? `${probes} though nothing was under way`
        : `no result for ${(quietMs / 1000).toFixed(1)} s with ${inFlight} calls under way, and ${probes}`;
    this.events.onHang(work, EndClass.killedFrozen);
  }
}
