/**
 * A pool without sockets: the real decisions (classify, balance, eject, retry, budget) wired as the outbound
 * side wires them, over endpoints whose behaviour a test scripts. Time is a plain number that calls move on.
 */
import { type Balancer, EndpointLoad, hasUntried } from '../../../sidecar/core/balancing/balancer.js';
import { type BalancerKind, makeBalancer } from '../../../sidecar/core/balancing/balancers.js';
import { AttemptEnd, classify, mayBeOfRequest, Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { Status } from '../../../sidecar/core/outcome/status.js';
import type { DetectorSettings } from '../../../sidecar/core/outlier/detectors.js';
import { Ejection, EjectionEvent, Evidence, NO_PROBE } from '../../../sidecar/core/outlier/ejection.js';
import { EjectionPool } from '../../../sidecar/core/outlier/ejection-pool.js';
import { decideRetry } from '../../../sidecar/core/retry/decide-retry.js';
import { RetryBudget } from '../../../sidecar/core/retry/retry-budget.js';
import { NO_PUSHBACK, type RetryRoute, RetryState } from '../../../sidecar/core/retry/retry-state.js';
import { EJECTION_SETTINGS } from '../core/ejections.js';
import { seeded } from '../time/seeded-random.js';

export interface Answer {
  readonly ended: AttemptEnd;
  readonly status: Status;
  readonly afterMs: number;
}

const TRAILERS = AttemptEnd.trailers;
export const ok = (afterMs = 10): Answer => ({ ended: TRAILERS, status: Status.OK, afterMs });
export const failure = (status: Status, afterMs = 1): Answer => ({ ended: TRAILERS, status, afterMs });
export const ended = (how: AttemptEnd): Answer => ({ ended: how, status: Status.UNKNOWN, afterMs: 1 });

class SimulatedEndpoint extends EndpointLoad {
  readonly ejection = new Ejection();
  attempts = 0;
  constructor(
    readonly name: string,
    public answer: (nowMs: number) => Answer,
  ) {
    super();
  }
}

export interface Settings {
  /** Default `least-loaded`. */
  readonly balance?: BalancerKind;
  readonly route?: RetryRoute;
  readonly ratio?: number;
  readonly perSecond?: number;
  /** Of the sweep, which a test calls. */
  readonly detectors?: DetectorSettings;
}

export class SimulatedPool {
  nowMs = 0;
  readonly endpoints: readonly SimulatedEndpoint[];
  readonly ejections: EjectionPool;
  readonly budget: RetryBudget;
  readonly events: EjectionEvent[] = [];
  private readonly random = seeded(1);
  private readonly balancer: Balancer;
  private readonly route: RetryRoute;

  constructor(
    names: readonly string[],
    {
      balance = 'least-loaded',
      route = { idempotent: false },
      ratio = 0.2,
      perSecond = 3,
      detectors = {},
    }: Settings = {},
  ) {
    this.balancer = makeBalancer(balance, this.random);
    this.ejections = new EjectionPool({ ...EJECTION_SETTINGS, jitter: 0, detectors }, this.random);
    this.budget = new RetryBudget({ ratio, perSecond });
    this.route = route;
    this.endpoints = names.map((name) => new SimulatedEndpoint(name, () => ok()));
    for (const { ejection: member } of this.endpoints) this.ejections.add(member);
  }

  get(name: string): SimulatedEndpoint {
    return this.endpoints.find((endpoint) => endpoint.name === name)!;
  }

  /** Attempts that ended in an ejection, and those that were kept from it, in order. */
  get notable(): readonly EjectionEvent[] {
    return this.events.filter((event) => event !== EjectionEvent.nothing);
  }

  get attempts(): number {
    return this.endpoints.reduce((sum, { attempts }) => sum + attempts, 0);
  }

  wait(ms: number): void {
    this.nowMs += ms;
  }

  sweep(): void {
    this.ejections.sweep(this.nowMs, (_member, event) => void this.events.push(event));
    for (const each of this.endpoints) each.eligible = this.ejections.members.mayCall(each.ejection);
  }

  /** One call, with all its attempts, allowed 5 s. The final status, or UNAVAILABLE when no endpoint could take it. */
  call(allowedMs = 5_000): Status {
    const deadlineMs = this.nowMs + allowedMs;
    const state = new RetryState();
    const tried: SimulatedEndpoint[] = [];
    this.budget.deposit(this.nowMs);
    for (;;) {
      const due = this.ejections.members.takeProbe(this.nowMs);
      const probed = due && this.endpoints.find(({ ejection }) => ejection === due);
      const endpoint = probed ?? this.balancer.pick(this.endpoints, tried, this.nowMs);
      if (endpoint === undefined) return Status.UNAVAILABLE;
      tried.push(endpoint);
      state.attempts += 1;
      const probe = probed === undefined ? NO_PROBE : endpoint.ejection.probe;
      const answer = this.attempt(endpoint, probe, deadlineMs);
      const facts = {
        ...answer,
        pushbackMs: NO_PUSHBACK,
        isMarkedUnprocessed: false,
        isCommitted: false,
        isRequestHeld: true,
        isOtherAvailable: hasUntried(this.endpoints, tried),
        timeLeftMs: deadlineMs - this.nowMs,
      };
      const { route, budget, random, nowMs } = this;
      const delayMs = decideRetry({ state, facts, route, budget, random, nowMs });
      if (delayMs < 0) return answer.ended === AttemptEnd.trailers ? answer.status : Status.UNAVAILABLE;
      this.wait(delayMs);
    }
  }

  private attempt(endpoint: SimulatedEndpoint, probe: number, deadlineMs: number): Answer {
    const { latency, ejection } = endpoint;
    const startedMs = this.nowMs;
    const answer = endpoint.answer(startedMs);
    endpoint.attempts += 1;
    this.wait(answer.afterMs);
    const allowedMs = deadlineMs - startedMs;
    const outcome = classify(answer.ended, answer.status, answer.afterMs, allowedMs, endpoint.usualMs);
    if (outcome === Outcome.success) latency.record(answer.afterMs, this.nowMs);
    else if (outcome === Outcome.fault) latency.recordFault(answer.afterMs, endpoint.usualMs, this.nowMs);
    if (outcome === Outcome.overload) latency.recordRefusal(this.nowMs);
    else latency.recordAccepted(this.nowMs);
    const evidence = mayBeOfRequest(answer.ended, answer.status) ? Evidence.answered : Evidence.sound;
    this.events.push(this.ejections.record(ejection, outcome, startedMs, this.nowMs, probe, evidence));
    for (const other of this.endpoints) other.eligible = this.ejections.members.mayCall(other.ejection);
    return answer;
  }
}
