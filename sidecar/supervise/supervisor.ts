import { seconds } from '../core/health/hang.js';
import type { MinimumUptime } from '../core/health/minimum-uptime.js';
import { classOfExit, EndClass, type ProcessEnd, type ProcessExit } from '../core/health/process-end.js';
import type { RestartLimit } from '../core/health/restart-limit.js';
import type { Health } from '../health/model/health-probe.js';
import type { RequestedChange } from '../health/model/repository-query.js';
import type { TimeDeps } from '../runtime/deps.js';
import { messageOf } from '../runtime/log/message-of.js';
import type { Timer } from '../runtime/time/timers.js';
import type { ModelReport } from '../telemetry/reports.js';

/** What a drill does to a process: it ends, or stands still. */
export type FaultStrike = 'kill' | 'freeze';

/** What came of it: the process it was done to, or why nothing was done. */
export type FaultHit =
  | { readonly kind: 'struck'; readonly pid: number }
  | { readonly kind: 'spared'; readonly why: string };

/** A started process; `ChildProcessHandle` is one. */
export interface RunningProcess {
  readonly pid: number | undefined;
  signal(name: NodeJS.Signals): void;
}

/** Asks the process whether it serves. */
export interface Probe {
  check(timeoutMs: number): Promise<Health>;
  close(): void;
}

/** What a monitor reports, each with one sentence; the first report ends it. */
export interface MonitorEvents {
  /** The process makes no progress; `end`: how its end is classified when it is killed for that. */
  onHang(why: string, end: EndClass): void;
  /** The process answers that it does not serve. */
  onNotServing(why: string): void;
}

/** Monitors a ready process until `stop`. */
export interface Monitor {
  stop(): void;
}

export interface SupervisorLimits {
  /** From start to ready; then the process is killed and started again. */
  readonly startTimeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number;
  /** For a process that was ready and says that it does not serve; then it is killed and started again. Absent: as `startTimeoutMs`. */
  readonly notServingTimeoutMs?: number;
}

export interface SupervisorDeps extends TimeDeps {
  readonly probe: Probe;
  /** Starts the process. `onExit` is called once, after this call has returned. What it throws counts as an end of the process. */
  start(onExit: (how: string, exit: ProcessExit) => void): RunningProcess;
  /** Called when the process is ready. */
  monitor(events: MonitorEvents, pid: number | undefined): Monitor;
  /** Time until the next start, ms; `readyForMs`: how long the process was ready, 0 if never. */
  restartDelayMs(readyForMs: number): number;
  /** Absent: no limit of restarts. */
  readonly limit?: RestartLimit;
  /** What a process has to stay up after another one died. Absent: nothing. */
  readonly uptime?: MinimumUptime;
  /** What a process that says it does not serve was asked to do. Absent: nothing. Never rejects. */
  requestedChange?(): Promise<RequestedChange>;
  /** Whether the kernel has just killed a process for want of memory. Absent: never. */
  isOutOfMemory?(): boolean;
  /** Called for each process that ended, before the change of state. */
  onEnd?(end: ProcessEnd): void;
  /** Called after every change of state. */
  onChange(report: ModelReport): void;
}

type State = Readonly<
  | ({ kind: 'starting'; limit: Timer; polling: Polling; readyForMs: number } & Running)
  | ({ kind: 'ready'; sinceMs: number; watch: Monitor; probation?: Timer } & Running)
  | ({ kind: 'unresponsive'; readyForMs: number; end: EndClass } & Running)
  | ({ kind: 'stopping'; limit: Timer } & Running)
  | { kind: 'backoff' | 'given-up'; timer: Timer }
  | { kind: 'stopped' }
>;
/** `readyForMs` of a process: how long it has served, while it does not. */
type Running = { readonly process: RunningProcess };
/** `last`: kind of the last answer. */
type Polling = { next?: Timer; lastAnswer: string; last: Health['kind'] };

/** Probes of a starting process: the first after 25 ms, then at growing intervals up to 500 ms. */
const FIRST_POLL_MS = 25;
const LONGEST_POLL_MS = 500;
const PROBE_TIMEOUT_MS = 1_000;
/** Between two decisions about a process that was ready and does not serve. */
const LOOK_AGAIN_MS = 1_000;

/**
 * Keeps one process running: starts it, probes it until it serves, monitors it, kills it when it
 * hangs, and starts it again with backoff, or much later once `limit` has given it up. States:
 * stopped, starting, ready, unresponsive (killed, not yet ended), backoff or given-up, stopping.
 */
export class Supervisor {
  private state: State = { kind: 'stopped' };
  private why = 'not started yet';
  private restarts = 0;
  private readonly whenStopped: (() => void)[] = [];

  constructor(
    private readonly limits: SupervisorLimits,
    private readonly deps: SupervisorDeps,
  ) {}

  /** Starts the process for the first time. */
  start(): void {
    if (this.state.kind === 'stopped') this.launch('starting');
  }

  report(): ModelReport {
    const pid = 'process' in this.state ? this.state.process.pid : undefined;
    const { why, restarts } = this;
    const probation = 'probation' in this.state ? { isOnProbation: true } : {};
    return { state: this.state.kind, why, restarts, ...(pid === undefined ? {} : { pid }), ...probation };
  }

  /**
   * SIGTERM, and SIGKILL after the stop timeout. Resolves when the process has ended. Safe to call
   * twice.
   */
  stop(): Promise<void> {
    // A stopped process handles SIGTERM only after SIGCONT.
    return this.endWith('SIGTERM', 'SIGCONT');
  }

  /** As `stop`, without SIGTERM: the process was asked to end in another way. */
  awaitExit(): Promise<void> {
    return this.endWith();
  }

  /** SIGKILL at once, for an owner that ends itself. */
  kill(): void {
    if ('process' in this.state) this.state.process.signal('SIGKILL');
  }

  /**
   * For drills: SIGKILL or SIGSTOP to the process that serves. Nothing else changes: its end, or that it makes no progress, is
   * found out as if it had happened by itself. A process that would be given up after its end is spared.
   */
  strike(blow: FaultStrike): FaultHit {
    const { state } = this;
    const spared = (why: string): FaultHit => ({ kind: 'spared', why });
    if (state.kind !== 'ready') return spared(`no process serves: ${this.why || state.kind}`);
    const { process } = state;
    if (process.pid === undefined) return spared('the process that serves has no process id');
    // A frozen process that is found to hang is killed as well.
    if (this.deps.limit?.mayDie(this.readyForMs(), this.deps.clock.now()) === false)
      return spared('it was started so often of late that it would be given up');
    process.signal(blow === 'kill' ? 'SIGKILL' : 'SIGSTOP');
    return { kind: 'struck', pid: process.pid };
  }

  /** SIGCONT to that process; nothing where it has ended meanwhile. */
  thaw(pid: number): void {
    if ('process' in this.state && this.state.process.pid === pid) this.state.process.signal('SIGCONT');
  }

  private launch(why: string): void {
    this.deps.limit?.started(this.deps.clock.now());
    const process = this.startProcess((how, exit) => this.exited(process, how, exit));
    this.awaitReady(process, why);
  }

  /** A process that cannot be started, as where its log or its socket has no place, has ended: it is started again later. */
  private startProcess(onExit: (how: string, exit: ProcessExit) => void): RunningProcess {
    try {
      return this.deps.start(onExit);
    } catch (error) {
      const how = `could not be started: ${messageOf(error)}`;
      this.deps.timers.after(0, () => onExit(how, { code: null, signal: null }));
      return { pid: undefined, signal: () => {} };
    }
  }

  /** Probes until a new process serves or the start timeout passes. */
  private awaitReady(process: RunningProcess, why: string): void {
    const limit = this.deps.timers.after(this.limits.startTimeoutMs, () => this.startTimedOut(process));
    this.enter({ kind: 'starting', process, limit, polling: newPolling(), readyForMs: 0 }, why);
    this.pollLater(process, FIRST_POLL_MS);
  }

  /**
   * Probes a process that was ready until it serves again. One that keeps saying that it does not is killed soon, because it did load
   * and has nothing left to do; one that has become silent has the time of a start.
   */
  private awaitServing(process: RunningProcess, why: string): void {
    const { startTimeoutMs, notServingTimeoutMs = startTimeoutMs } = this.limits;
    const sinceMs = this.deps.clock.now();
    const look = async (): Promise<void> => {
      if (this.state.kind !== 'starting' || this.state.process !== process) return;
      const { polling } = this.state;
      const change = (await this.deps.requestedChange?.()) ?? 'none';
      if (this.state.kind !== 'starting' || this.state.polling !== polling) return;
      const forMs = this.deps.clock.now() - sinceMs;
      if (polling.last === 'not-serving' && change === 'none') {
        const said = `it was ready and has not served for ${seconds(forMs)} (${polling.lastAnswer})`;
        return this.killUnresponsive(process, said, EndClass.killedFrozen);
      }
      if (change !== 'unloaded' && forMs >= startTimeoutMs) return this.startTimedOut(process);
      this.state = { ...this.state, limit: this.deps.timers.after(LOOK_AGAIN_MS, () => void look()) };
    };
    const limit = this.deps.timers.after(Math.min(startTimeoutMs, notServingTimeoutMs), () => void look());
    const readyForMs = this.readyForMs();
    this.enter({ kind: 'starting', process, limit, polling: newPolling(), readyForMs }, why);
    this.pollLater(process, FIRST_POLL_MS);
  }

  private pollLater(process: RunningProcess, delayMs: number): void {
    if (this.state.kind !== 'starting' || this.state.process !== process) return;
    this.state.polling.next = this.deps.timers.after(delayMs, () => void this.poll(process, delayMs));
  }

  private async poll(process: RunningProcess, delayMs: number): Promise<void> {
    const health = await this.deps.probe.check(PROBE_TIMEOUT_MS);
    if (this.state.kind !== 'starting' || this.state.process !== process) return;
    if (health.kind === 'serving') this.becomeReady(process);
    else {
      this.state.polling.lastAnswer = health.why;
      this.state.polling.last = health.kind;
      this.pollLater(process, Math.min(LONGEST_POLL_MS, delayMs * 1.5));
    }
  }

  private startTimedOut(process: RunningProcess): void {
    const last = this.state.kind === 'starting' ? this.state.polling.lastAnswer : '';
    const why = `not ready within ${this.limits.startTimeoutMs / 1000} s (${last})`;
    this.killUnresponsive(process, why, EndClass.killedFrozen);
  }

  private becomeReady(process: RunningProcess): void {
    const events: MonitorEvents = {
      onHang: (why, end) => this.killUnresponsive(process, why, end),
      onNotServing: (why) => {
        if (this.state.kind === 'ready' && this.state.process === process) this.awaitServing(process, why);
      },
    };
    const watch = this.deps.monitor(events, process.pid);
    this.deps.limit?.ready();
    // What it served before it lapsed counts too.
    const sinceMs = this.deps.clock.now() - this.readyForMs();
    const ready = { kind: 'ready', process, sinceMs, watch } as const;
    const { uptime } = this.deps;
    if (uptime === undefined || uptime.ms === 0) return this.enter(ready, '');
    const probation = this.deps.timers.after(uptime.ms, () => this.endProbation(uptime));
    this.enter({ ...ready, probation }, uptime.why);
  }

  /** The process has been up for long enough: it is as any other from now on. */
  private endProbation(uptime: MinimumUptime): void {
    const { state } = this;
    if (state.kind !== 'ready') return;
    uptime.met();
    const { probation: _over, ...ready } = state;
    this.state = ready;
    this.why = '';
    this.deps.onChange(this.report());
  }

  /** Kills a process that hangs or did not become ready; its exit leads to the restart. */
  private killUnresponsive(process: RunningProcess, why: string, end: EndClass): void {
    if (!('process' in this.state) || this.state.process !== process || this.state.kind === 'stopping')
      return;
    this.enter({ kind: 'unresponsive', process, readyForMs: this.readyForMs(), end }, why);
    process.signal('SIGKILL');
  }

  private exited(process: RunningProcess, how: string, exit: ProcessExit): void {
    if (!('process' in this.state) || this.state.process !== process) return;
    this.deps.probe.close();
    const reason = this.state.kind === 'unresponsive' ? `${this.why}, so it was killed` : how;
    this.deps.onEnd?.({ class: this.classOf(exit), how: reason });
    if (this.state.kind === 'stopping') this.finishStop(how);
    else this.backOff(reason);
  }

  private classOf(exit: ProcessExit): EndClass {
    if (this.state.kind === 'unresponsive') return this.state.end;
    if (this.state.kind === 'stopping') return EndClass.ended;
    return classOfExit(exit, this.deps.isOutOfMemory?.() ?? false);
  }

  private backOff(why: string): void {
    const readyForMs = this.readyForMs();
    this.deps.uptime?.ended(readyForMs);
    const givenUp = this.deps.limit?.died(readyForMs, this.deps.clock.now()) ?? null;
    const delayMs = givenUp?.retryAfterMs ?? this.deps.restartDelayMs(readyForMs);
    const timer = this.deps.timers.after(delayMs, () => {
      this.restarts++;
      this.launch(`starting again: ${why}`);
    });
    const kind = givenUp === null ? 'backoff' : 'given-up';
    const starts = givenUp === null ? '' : `${givenUp.starts} ${givenUp.starts === 1 ? 'start' : 'starts'}`;
    const limit = givenUp === null ? '' : `given up after ${starts} in ${seconds(givenUp.inMs)}: `;
    this.enter({ kind, timer }, `${limit}${why}; next start in ${seconds(delayMs)}`);
  }

  private readyForMs(): number {
    const { state } = this;
    if (state.kind === 'unresponsive' || state.kind === 'starting') return state.readyForMs;
    return state.kind === 'ready' ? this.deps.clock.now() - state.sinceMs : 0;
  }

  private endWith(...signals: readonly NodeJS.Signals[]): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.whenStopped.push(resolve));
    if (!('process' in this.state)) this.finishStop('stopped');
    else if (this.state.kind !== 'stopping') {
      const { process } = this.state;
      const limit = this.deps.timers.after(this.limits.stopTimeoutMs, () => process.signal('SIGKILL'));
      this.enter({ kind: 'stopping', process, limit }, 'stopping');
      for (const signal of signals) process.signal(signal);
    }
    return stopped;
  }

  private finishStop(why: string): void {
    this.enter({ kind: 'stopped' }, why);
    for (const resolve of this.whenStopped.splice(0)) resolve();
  }

  /** Changes the state: stops timers and monitor of the old one, and reports. */
  private enter(state: State, why: string): void {
    const left = this.state;
    if (left.kind === 'starting') {
      left.limit.cancel();
      left.polling.next?.cancel();
    } else if (left.kind === 'ready') {
      left.watch.stop();
      left.probation?.cancel();
    } else if (left.kind === 'stopping') left.limit.cancel();
    else if ('timer' in left) left.timer.cancel();
    this.state = state;
    this.why = why;
    this.deps.onChange(this.report());
  }
}

function newPolling(): Polling {
  return { lastAnswer: 'no answer yet', last: 'silent' };
}
