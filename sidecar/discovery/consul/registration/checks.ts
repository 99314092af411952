import type { Health } from '../../../core/discovery/eviction-guard.js';
import { Hysteresis, isSameExceptNumbers } from '../../../core/health/hysteresis.js';
import type { AgentCheck } from './agent-state.js';
import type { Ids, ServiceInstance } from './instance.js';

/** What a check tells Consul. A warning: calls are taken, and not for all models. */
interface CheckState extends AgentCheck {
  readonly status: Health;
}

/** Consul cuts outputs at 4 KiB; a sentence is far shorter. */
const MAX_OUTPUT = 400;
/** What the checks of a sidecar say that ends. Peers read it: versions beside each other have to say the same. */
export const DRAINING = 'draining';
/** Samples of the sidecar that are closer together count as one. */
const SAMPLE_MS = 1_000;

/** One TTL check: the state it should have, what was sent to the agent, and what the agent has. */
export class Check {
  state: CheckState = { status: 'critical', output: 'starting' };
  private sent: CheckState | undefined;
  private held: AgentCheck | undefined;
  private sentMs = Number.NEGATIVE_INFINITY;

  constructor(readonly id: string) {}

  /**
   * Sets what the check should say, on one line and at most 400 characters; numbers that change in a sentence do not
   * count as a change.
   */
  set(status: Health, output: string): void {
    const text = output.replace(/\s+/g, ' ').trim().slice(0, MAX_OUTPUT);
    if (status !== this.state.status || !isSameExceptNumbers(text, this.state.output))
      this.state = { status, output: text };
  }

  /** The state has to be sent: it is new, or the check would expire. */
  isDue(nowMs: number, refreshMs: number): boolean {
    return this.sent !== this.state || nowMs - this.sentMs >= refreshMs;
  }

  /** The agent has this status already, with another output. */
  get isOutputChange(): boolean {
    return this.held?.status === this.state.status && this.held.output !== this.state.output;
  }

  /** The agent has taken this state. */
  recordSent(state: CheckState, nowMs: number): void {
    this.sent = state;
    this.sentMs = nowMs;
    this.held = state;
  }

  /** What the agent has: where that differs from what was sent, it is sent again. */
  recordHeld(held: AgentCheck): void {
    if (held.status !== this.sent?.status || held.output !== this.sent.output) this.sent = undefined;
    this.held = held;
  }
}

/**
 * The two checks of an instance: whether its model answers, and whether its sidecar can take calls. An output stays
 * as it is while the state does, because every change of it ends the blocking queries of all watchers of the service.
 */
export class Checks {
  readonly service: Check;
  readonly proxy: Check;
  /** Undefined before the first sample, which counts at once. */
  private sidecarHealth: Hysteresis | undefined;
  private lastBadMs = Number.NEGATIVE_INFINITY;
  private isLeaving = false;

  constructor(
    private readonly instance: ServiceInstance,
    ids: Ids,
  ) {
    this.service = new Check(ids.serviceCheck);
    this.proxy = new Check(ids.proxyCheck);
  }

  /** From now on both are critical. */
  leave(): void {
    this.isLeaving = true;
    this.update(0);
  }

  /** Takes the states over from the instance. */
  update(nowMs: number): void {
    if (this.isLeaving) {
      for (const check of [this.service, this.proxy]) check.set('critical', DRAINING);
      return;
    }
    this.updateProxyCheck(nowMs);
    if (this.instance.inbound === undefined) {
      // There is no model: the service is as well as its sidecar.
      const { status, output } = this.proxy.state;
      return this.service.set(status, output);
    }
    const { ok, why } = this.instance.model();
    if (!ok) this.service.set('critical', why || 'the model does not answer');
    else this.service.set(why === '' ? 'passing' : 'warning', why || 'the model answers');
  }

  private updateProxyCheck(nowMs: number): void {
    const reasons = this.instance.sidecar();
    const isGood = reasons.length === 0;
    this.sidecarHealth ??= new Hysteresis(isGood);
    if (isGood) this.sidecarHealth.sample(true);
    else if (nowMs - this.lastBadMs >= SAMPLE_MS) {
      this.lastBadMs = nowMs;
      this.sidecarHealth.sample(false);
    }
    if (this.sidecarHealth.isGood) this.proxy.set('passing', 'the sidecar can take calls');
    else this.proxy.set('critical', reasons.join('; '));
  }
}
