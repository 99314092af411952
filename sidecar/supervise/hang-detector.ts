import { HangDiagnosis, type ProcessSigns as Signs, type WorkSigns } from '../core/health/hang.js';
import { answerTimeoutMs } from '../core/health/probe-timeout.js';
import type { TimeDeps } from '../runtime/deps.js';
import type { Timer } from '../runtime/time/timers.js';
import type { ProcessSigns } from './process-state.js';
import type { Monitor, MonitorEvents, Probe } from './supervisor.js';
import type { WatcherClient } from './watcher-client.js';

/** What calls show of the model process. */
export interface ModelWork extends WorkSigns {
  /** Upper range of recent run times, ms; 0 = unknown. */
  readonly usualMs: number;
}

export interface HangDetectorDeps extends TimeDeps {
  readonly probe: Probe;
  /** State from the kernel; undefined: the process could not be started. */
  readonly signs: Pick<ProcessSigns, 'state' | 'cpuMs' | 'isStarved'> | undefined;
  /** Undefined without a place for the watcher's socket. */
  readonly watcher: Pick<WatcherClient, 'open' | 'close' | 'signs' | 'forgiveStall' | 'thread'> | undefined;
  /** Longest time a run may take, ms. */
  readonly longestRunMs: number;
  activity(): ModelWork;
}

/** Period of the checks while there is work, and while there is none. */
const TICK_MS = 500;
const IDLE_TICK_MS = 2_500;
/** Period of probes, and of probes while in doubt. */
const PROBE_PERIOD_MS = 5_000;
const DOUBT_PERIOD_MS = 1_000;
/**
 * After this many unanswered probes in a row they come at the normal period: more prove nothing.
 */
const MAX_DOUBT_PROBES = 5;
/** Timeout of a probe while no run time is known: the first run may be slow. */
const UNKNOWN_PROBE_TIMEOUT_MS = 6_000;
/** A timer later than this was delayed by our own process, and nothing is concluded. */
const OWN_STALL_MS = 750;

/**
 * Detects that a model process hangs, from its calls, its state in the kernel, its watcher thread
 * and probes; the rules are in `core/health/hang.ts`. Notices stalls of our own process, from which
 * nothing is concluded.
 *
 * An idle process is looked at every 2.5 s and probed every 5 s; with work every 0.5 s. CPU times,
 * watcher and a probe each second are used only in doubt. A hang is reported once, and the detector
 * stops; the supervisor kills.
 */
export class HangDetector implements Monitor {
  private readonly judge: HangDiagnosis;
  private timer!: Timer;
  private nextTickMs = 0;
  private lastProbeMs: number;
  private isProbing = false;
  private isStopped = false;

  constructor(
    private readonly deps: HangDetectorDeps,
    private readonly events: MonitorEvents,
  ) {
    const nowMs = deps.clock.now();
    this.lastProbeMs = nowMs;
    this.judge = new HangDiagnosis(deps.longestRunMs, deps.activity(), nowMs);
    deps.watcher?.open();
    this.tickIn(IDLE_TICK_MS, nowMs);
  }

  stop(): void {
    this.isStopped = true;
    this.timer.cancel();
    this.deps.watcher?.close();
  }

  private tickIn(delayMs: number, nowMs: number): void {
    this.nextTickMs = nowMs + delayMs;
    this.timer = this.deps.timers.after(delayMs, () => this.tick(), { unref: true });
  }

  private tick(): void {
    const nowMs = this.deps.clock.now();
    if (nowMs - this.nextTickMs > OWN_STALL_MS) this.onOwnStall(nowMs);
    const work = this.deps.activity();
    const isInDoubt = this.judge.isInDoubt(work, nowMs);
    const conviction = this.judge.diagnose(work, this.readSigns(isInDoubt), nowMs);
    if (conviction !== null) {
      this.stop();
      return this.events.onHang(conviction.why, conviction.end);
    }
    this.tickIn(this.judge.isIdle(work) && !this.isProbing ? IDLE_TICK_MS : TICK_MS, nowMs);
    if (this.wantsProbe(isInDoubt, nowMs)) void this.ask(work.usualMs);
  }

  private readSigns(isInDoubt: boolean): Signs {
    const { signs, watcher } = this.deps;
    const state = signs?.state() ?? '';
    if (!isInDoubt) {
      watcher?.close();
      return { state, cpuMs: -1, watcher: null };
    }
    const thread = watcher?.thread ?? 0;
    watcher?.open();
    return {
      state,
      cpuMs: signs?.cpuMs(thread) ?? -1,
      watcher: watcher?.signs(thread > 0 && signs?.isStarved(thread) === true) ?? null,
    };
  }

  private wantsProbe(isInDoubt: boolean, nowMs: number): boolean {
    if (this.isProbing) return false;
    const isUrgent = isInDoubt && this.judge.unanswered < MAX_DOUBT_PROBES;
    return nowMs - this.lastProbeMs >= (isUrgent ? DOUBT_PERIOD_MS : PROBE_PERIOD_MS);
  }

  private async ask(usualMs: number): Promise<void> {
    const timeoutMs = usualMs > 0 ? answerTimeoutMs(usualMs) : UNKNOWN_PROBE_TIMEOUT_MS;
    const askedMs = this.deps.clock.now();
    this.lastProbeMs = askedMs;
    this.isProbing = true;
    const health = await this.deps.probe.check(timeoutMs);
    this.isProbing = false;
    if (this.isStopped) return;
    const nowMs = this.deps.clock.now();
    if (health.kind === 'silent') {
      if (nowMs - askedMs - timeoutMs > OWN_STALL_MS) this.onOwnStall(nowMs);
      else {
        this.judge.unanswered += 1;
        this.timer.cancel();
        this.tick();
      }
      return;
    }
    this.judge.alive(this.deps.activity().abandoned, nowMs);
    if (health.kind === 'not-serving') {
      this.stop();
      this.events.onNotServing(health.why);
    }
  }

  private onOwnStall(nowMs: number): void {
    this.judge.stalled(this.deps.activity(), nowMs);
    this.deps.watcher?.forgiveStall();
  }
}
