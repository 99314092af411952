import type { RegistrationConfig } from '../../../config/model.js';
import { present } from '../../../config/present.js';
import { isSameExceptNumbers } from '../../../core/health/hysteresis.js';
import { exponentialMs, halfJitterMs } from '../../../core/retry/backoff.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import type { Timer } from '../../../runtime/time/timers.js';
import type { Metric } from '../../../telemetry/metric.js';
import { AgentError } from '../client/response.js';
import { registrationMetrics } from '../metrics.js';
import type { ConsulDeps } from '../query/query-spec.js';
import { isUnanswered } from '../query/response-reader.js';
import type { RegistrationAgent } from './agent-client.js';
import type { ServiceInstance } from './instance.js';
import { CONFLICT_PROBLEM, RegistrationSync } from './sync.js';

/** The states of the checks are taken over from the instance this often. */
const UPDATE_MS = 2_000;
const BACKOFF_BASE_MS = 250;
/** While the agent is away, so that it is found soon after its return; and while it refuses. */
const AWAY_BACKOFF_MS = 3_000;
const REFUSED_BACKOFF_MS = 30_000;

/**
 * Keeps one instance and its sidecar in the catalogue: registers, refreshes the checks, compares what the agent has
 * every 15 s, and at the end sets the checks critical and deregisters. After a failure it tries again with backoff:
 * up to 3 s while the agent is away, up to 30 s while it refuses.
 */
export class Registration {
  private readonly settings: RegistrationConfig;
  private readonly sync: RegistrationSync;
  private timer: Timer | undefined;
  /** Requests to the agent, one after the other. */
  private queue: Promise<unknown> = Promise.resolve();
  private isStarted = false;
  private isBusy = false;
  private isClosed = false;
  private leaving: Promise<void> | undefined;
  private retryAtMs = 0;
  /** Of the same kind, in a row. */
  private failures = 0;
  private lastFault = '';
  private problem: string | undefined;
  private isAnnounced = false;
  private failed = 0;

  /** Throws when `deps.config` has no registration. */
  constructor(
    agent: RegistrationAgent,
    private readonly deps: ConsulDeps,
    private readonly instance: ServiceInstance,
  ) {
    const settings = deps.config.registration;
    if (settings === undefined) throw new Error('consul.registration: missing; expected its settings');
    this.settings = settings;
    this.sync = new RegistrationSync(agent, deps, instance, settings, () => this.tick());
  }

  /** Registers, and keeps it up until `deregister` or `close`. */
  start(): void {
    this.isStarted = true;
    this.tick();
  }

  /** The instance may have changed: its checks are updated at once. */
  changed(): void {
    if (!this.isStarted) return;
    this.sync.recordChange();
    this.tick();
  }

  /** Whether the agent had everything when last asked, and the problem, if any, in one sentence. */
  status(): { readonly registered: boolean; readonly problem?: string } {
    const problem = this.problem ?? (this.sync.isConflicting ? CONFLICT_PROBLEM : undefined);
    return { registered: this.sync.isConfirmed, ...present('problem', problem) };
  }

  /** Registered or not, definitions sent, failures, and the state of each check. */
  metrics(): Metric[] {
    return registrationMetrics(this.sync, this.failed);
  }

  /**
   * First step of a drain: both checks critical, then a wait until peers have heard of it. Never rejects; does not wait
   * where Consul cannot be reached, nor where there are no peers, because the sidecar only calls others.
   */
  leave(): Promise<void> {
    this.leaving ??= this.leaveNow();
    return this.leaving;
  }

  /**
   * Last step: takes both out of the catalogue and ends. Never rejects; what fails here Consul removes later by
   * itself.
   */
  async deregister(): Promise<void> {
    this.close();
    if (this.sync.registrations === 0) return;
    try {
      await this.enqueue(() => this.sync.deregister());
    } catch (error) {
      const { deregisterAfterMs } = this.settings;
      this.deps.logger.warn(
        { id: this.sync.ids.service, problem: messageOf(error), deregisterAfterMs },
        'not deregistered; Consul does it once its checks were critical for long enough',
      );
    }
  }

  /** Ends without a request to the agent. */
  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
    this.sync.end();
  }

  private tick(): void {
    if (this.isClosed) return;
    const nowMs = this.deps.clock.now();
    this.sync.checks.update(nowMs);
    if (!this.isBusy && nowMs >= this.retryAtMs && this.sync.isDue(nowMs)) void this.work();
    else this.tickAgain(nowMs);
  }

  private tickAgain(nowMs: number): void {
    const delayMs = this.failures > 0 ? Math.max(1, this.retryAtMs - nowMs) : UPDATE_MS;
    this.timer?.cancel();
    this.timer = this.deps.timers.after(Math.min(UPDATE_MS, delayMs), () => this.tick(), { unref: true });
  }

  private async work(): Promise<void> {
    this.isBusy = true;
    this.timer?.cancel();
    try {
      await this.enqueue(() => this.sync.round());
      this.succeeded();
    } catch (error) {
      this.recordFailure(error);
    }
    this.isBusy = false;
    // What changed meanwhile is told without delay.
    this.tick();
  }

  private enqueue<T>(step: () => Promise<T>): Promise<T> {
    const done = this.queue.then(step);
    this.queue = done.catch(() => {});
    return done;
  }

  private async leaveNow(): Promise<void> {
    this.sync.beginLeaving();
    if (this.sync.registrations === 0 || this.isClosed) return;
    try {
      await this.enqueue(() => this.sync.leave());
    } catch (error) {
      this.deps.logger.warn({ problem: messageOf(error) }, 'Consul could not be told of the drain');
      return;
    }
    if (this.instance.inbound === undefined) return;
    await new Promise<void>((resolve) => {
      this.deps.timers.after(this.settings.propagationMs, resolve);
    });
  }

  private succeeded(): void {
    this.failures = 0;
    this.retryAtMs = 0;
    this.problem = undefined;
    if (this.isAnnounced) return;
    this.isAnnounced = true;
    this.deps.logger.info({ id: this.sync.ids.service }, 'registered in Consul');
  }

  /** One line for each new problem, however often it comes back. */
  private recordFailure(error: unknown): void {
    if (this.isClosed) return;
    const nowMs = this.deps.clock.now();
    const fault = error instanceof AgentError ? `${error.fault} ${error.status ?? ''}` : 'other';
    // A returning agent refuses at first: that does not go on from the waits for its return.
    this.failures = fault === this.lastFault ? this.failures + 1 : 1;
    this.lastFault = fault;
    this.failed += 1;
    this.sync.isConfirmed = false;
    const mostMs = isUnanswered(error) ? AWAY_BACKOFF_MS : REFUSED_BACKOFF_MS;
    const fullMs = exponentialMs(this.failures, BACKOFF_BASE_MS, mostMs);
    this.retryAtMs = nowMs + halfJitterMs(fullMs, this.deps.random);
    const problem = messageOf(error);
    if (this.problem === undefined || !isSameExceptNumbers(problem, this.problem)) {
      this.isAnnounced = false;
      this.deps.logger.warn({ problem }, 'registration in Consul does not work; trying again');
    }
    this.problem = problem;
  }
}
