/**
 * What the two checks of an instance say: whether its model answers, and whether its sidecar can take calls. A text
 * stays as it is while the state does, because every change of it wakes all who watch the service.
 */

import { Hysteresis, saysTheSame } from '../../../core/health/hysteresis.js';
import type { AgentCheck } from './agent-state.js';
import type { CheckStatus, Ids, ServiceInstance } from './definition.js';

export interface CheckState {
  /** A warning: calls are taken, and not for all models. */
  readonly status: CheckStatus;
  readonly output: string;
}

/** Consul cuts outputs at 4 KiB; a sentence is far shorter. */
const MAX_OUTPUT = 400;
/** Samples of the sidecar that are closer together count as one. */
const SAMPLE_MS = 1_000;

export const MODEL_ANSWERS = 'the model answers';
export const SIDECAR_SERVES = 'the sidecar can take calls';
export const DRAINING = 'draining';

/** One TTL check: what it should say, and what the agent was told. */
export class Check {
  state: CheckState = { status: 'critical', output: 'starting' };
  private sent: CheckState | undefined;
  private held: AgentCheck | undefined;
  private sentMs = Number.NEGATIVE_INFINITY;

  constructor(readonly id: string) {}

  set(status: CheckState['status'], output: string): void {
    const text = output.replace(/\s+/g, ' ').trim().slice(0, MAX_OUTPUT);
    if (status !== this.state.status || !saysTheSame(text, this.state.output))
      this.state = { status, output: text };
  }

  /** The agent has to be told, for news or because it would otherwise expire. */
  isDue(nowMs: number, refreshMs: number): boolean {
    return this.sent !== this.state || nowMs - this.sentMs >= refreshMs;
  }

  /** The agent has this status already, with other words. */
  get isOutputChange(): boolean {
    return this.held?.status === this.state.status && this.held.output !== this.state.output;
  }

  noteSent(state: CheckState, nowMs: number): void {
    this.sent = state;
    this.sentMs = nowMs;
    this.held = state;
  }

  /** What the agent has: where that is something else, it is to be told again. */
  noteHeld(held: AgentCheck): void {
    const { sent } = this;
    if (sent === undefined || held.status !== sent.status || held.output !== sent.output)
      this.sent = undefined;
    this.held = held;
  }
}

export class Checks {
  readonly service: Check;
  readonly proxy: Check;
  /** Undefined before the first look, which is taken at its word. */
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

  /** Asks the registrant how things are. */
  update(nowMs: number): void {
    if (this.isLeaving) {
      this.service.set('critical', DRAINING);
      this.proxy.set('critical', DRAINING);
      return;
    }
    this.updateProxyCheck(nowMs);
    if (this.instance.inbound === undefined) {
      // There is no model: the service is as well as its sidecar.
      this.service.set(this.proxy.state.status, this.proxy.state.output);
      return;
    }
    const { ok, why } = this.instance.model();
    if (ok) this.service.set(why === '' ? 'passing' : 'warning', why === '' ? MODEL_ANSWERS : why);
    else this.service.set('critical', why === '' ? 'the model does not answer' : why);
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
    if (this.sidecarHealth.isGood) this.proxy.set('passing', SIDECAR_SERVES);
    else this.proxy.set('critical', reasons.join('; '));
  }
}
