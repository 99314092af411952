import { present } from '../../../config/present.js';
import type { Health } from '../../../core/discovery/eviction-guard.js';
import { isSameExceptNumbers } from '../../../core/health/hysteresis.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import type { Timer } from '../../../runtime/time/timers.js';
import type { Metric } from '../../../telemetry/metric.js';
import { metric, metricsOver, one } from '../../../telemetry/metric-rows.js';
import { decodeJson, isObject, textIn } from '../parser/json-fields.js';
import type { ConsulDeps } from '../query/query-spec.js';
import type { ProxyAdoption } from './adoption.js';
import { isUnknown, type RegistrationAgent, RegistrationClient } from './agent-client.js';
import { Check, Checks } from './checks.js';
import { idsOf, type ServiceInstance } from './instance.js';

/** The state is taken over from the instance this often. */
const UPDATE_MS = 2_000;
/** The TTL of a check is not known, for agents do not tell it: three refreshes fit into the shortest that is in use, 10 s. */
const REFRESH_MS = 3_000;
/** Checks are added and removed by those that made the registration. */
const COMPARE_MS = 15_000;
const RETRY_MS = 3_000;
/** A drain waits so long between saying "critical" and sending callers away, as `registration.propagation` does by default. */
const PROPAGATION_MS = 2_000;
const MAX_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 5_000;

/**
 * The part of an adopted registration that this sidecar has a hand in: TTL checks of the proxy, which would expire
 * without it. Checks of another kind are the agent's business, and those of the service belong to what registered it.
 */
export class AdoptedRegistration {
  /** The states to tell, from the same facts as for a registration of our own. */
  private readonly states: Checks;
  private readonly client: RegistrationClient;
  /** The TTL checks of the proxy, by id, as of the last comparison. */
  private readonly checks = new Map<string, Check>();
  private timer: Timer | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private isBusy = false;
  private isClosed = false;
  private compareAtMs = 0;
  private retryAtMs = 0;
  private failed = 0;
  private problem: string | undefined;

  constructor(
    private readonly agent: RegistrationAgent,
    private readonly deps: ConsulDeps,
    private readonly instance: ServiceInstance,
    private readonly adoption: Pick<ProxyAdoption, 'proxy' | 'isHeld' | 'problem'>,
  ) {
    const ids = idsOf(instance);
    this.states = new Checks(instance, ids);
    this.client = new RegistrationClient(agent, ids);
  }

  /** Keeps the checks up until `close`. */
  start(): void {
    this.tick();
  }

  /** The instance may have changed: its checks are updated at once. */
  changed(): void {
    if (this.timer !== undefined) this.tick();
  }

  /** Whether the agent has the registration, and the problem, if any, in one sentence. */
  status(): { readonly registered: boolean; readonly problem?: string } {
    return {
      registered: this.adoption.isHeld,
      ...present('problem', this.adoption.problem ?? this.problem),
    };
  }

  /** Held or not, failures, and the state of each check. */
  metrics(): Metric[] {
    const perCheck = metricsOver([...this.checks.values()], ({ id }) => ({ check: id }));
    return [
      metric('outrider_consul_registered', one(Number(this.adoption.isHeld))),
      metric('outrider_consul_registration_failures_total', one(this.failed)),
      perCheck.metric('outrider_consul_check_passing', ({ state }) => Number(state.status === 'passing')),
    ];
  }

  /** First step of a drain: the checks critical, then a wait until peers have heard of it; no wait where there are none. */
  async leave(): Promise<void> {
    this.states.leave();
    this.update();
    if (this.checks.size === 0 || this.isClosed) return;
    try {
      await this.enqueue(async () => {
        for (const check of this.checks.values())
          await this.client.updateCheck(check, this.deps.clock.now(), true);
      });
    } catch (error) {
      this.deps.logger.warn({ problem: messageOf(error) }, 'Consul could not be told of the drain');
      return;
    }
    await new Promise<void>((resolve) => {
      this.deps.timers.after(PROPAGATION_MS, resolve);
    });
  }

  /** The registration belongs to what made it, and stays. */
  async deregister(): Promise<void> {
    this.close();
  }

  /** Ends without a request to the agent. */
  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
  }

  /** Looks whether something is due, now and every two seconds. */
  private tick(): void {
    if (this.isClosed) return;
    this.update();
    const nowMs = this.deps.clock.now();
    const isDue = nowMs >= this.compareAtMs || this.due(nowMs).length > 0;
    if (!this.isBusy && nowMs >= this.retryAtMs && isDue) void this.work();
    this.timer?.cancel();
    this.timer = this.deps.timers.after(UPDATE_MS, () => this.tick(), { unref: true });
  }

  /** The worse of sidecar and model: the check speaks for all that a caller of the proxy gets. */
  private update(): void {
    this.states.update(this.deps.clock.now());
    const { proxy, service } = this.states;
    const isModelWorse = proxy.state.status === 'passing' && this.instance.inbound !== undefined;
    const { status, output } = isModelWorse ? service.state : proxy.state;
    for (const check of this.checks.values()) check.set(status as Health, output);
  }

  /** Checks whose state is new to the agent, or about to expire. */
  private due(nowMs: number): Check[] {
    return [...this.checks.values()].filter((check) => check.isDue(nowMs, REFRESH_MS));
  }

  private async work(): Promise<void> {
    this.isBusy = true;
    try {
      await this.enqueue(() => this.round());
      this.problem = undefined;
    } catch (error) {
      this.failed += 1;
      this.retryAtMs = this.deps.clock.now() + RETRY_MS;
      const problem = messageOf(error);
      if (this.problem === undefined || !isSameExceptNumbers(problem, this.problem))
        this.deps.logger.warn(
          { problem },
          'the checks of the adopted registration cannot be kept up; trying again',
        );
      this.problem = problem;
    }
    this.isBusy = false;
  }

  /** Which checks there are, now and then; and the state of those that are due. @throws AgentError */
  private async round(): Promise<void> {
    const nowMs = this.deps.clock.now();
    if (nowMs >= this.compareAtMs) {
      await this.findChecks();
      this.compareAtMs = nowMs + COMPARE_MS;
      this.update();
    }
    for (const check of this.due(nowMs)) {
      try {
        await this.client.updateCheck(check, nowMs);
      } catch (error) {
        if (!isUnknown(error)) throw error;
        // It has been taken away, or with the whole registration: what is there is read again.
        this.checks.delete(check.id);
        this.compareAtMs = nowMs + RETRY_MS;
      }
    }
  }

  /** Takes over which TTL checks there are, and what the agent has of each. @throws AgentError */
  private async findChecks(): Promise<void> {
    const query = { filter: `ServiceID == ${JSON.stringify(this.adoption.proxy.id)}` };
    const { body } = await this.agent.get('/agent/checks', query, {
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    });
    const found = ttlChecksIn(body);
    for (const id of this.checks.keys()) if (!found.has(id)) this.checks.delete(id);
    for (const [id, held] of found) {
      let check = this.checks.get(id);
      if (check === undefined) {
        check = new Check(id);
        this.checks.set(id, check);
      }
      check.recordHeld(held);
    }
  }

  /** One request after the other, so that a late refresh does not follow the word of a drain. */
  private enqueue<T>(step: () => Promise<T>): Promise<T> {
    const done = this.queue.then(step);
    this.queue = done.catch(() => {});
    return done;
  }
}

/** The TTL checks in an answer of `/v1/agent/checks`, with what they say. @throws Error for what is no JSON. */
export function ttlChecksIn(
  body: Buffer,
): ReadonlyMap<string, { readonly status: string; readonly output: string }> {
  const checks = decodeJson(body.toString('utf8'), "the agent's list of checks is not JSON");
  if (!isObject(checks)) throw new Error("the agent's list of checks is not an object");
  const ttl = Object.entries(checks).filter(([, check]) => textIn(check, 'Type') === 'ttl');
  return new Map(
    ttl.map(([id, check]) => [id, { status: textIn(check, 'Status'), output: textIn(check, 'Output') }]),
  );
}
