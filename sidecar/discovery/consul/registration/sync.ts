import type { RegistrationConfig } from '../../../config/model.js';
import type { ConsulDeps } from '../query/query-spec.js';
import { type AgentState, isUnknown, type RegistrationAgent, RegistrationClient } from './agent-client.js';
import { isSame } from './agent-state.js';
import { type Check, Checks } from './checks.js';
import { definitionsOf, type ServiceDefinition } from './definition.js';
import { DefinitionWatcher } from './definition-watcher.js';
import { type Ids, idsOf, type ServiceInstance } from './instance.js';

/** A third of the TTL of the checks: two refreshes in a row may be lost. */
const REFRESH_MS = 10_000;
const COMPARE_MS = 15_000;
const JITTER = 0.1;
/**
 * The agent keeps the token that a definition came with, so a new token needs a new registration. It ends no blocking
 * query.
 */
const RENEW_MS = 600_000;
/** The definition was overwritten this often in a row: two processes use one id. */
const CONFLICT = 3;
const CONFLICT_COMPARE_MS = 60_000;

/** The problem that is reported while two processes overwrite each other's definitions. */
export const CONFLICT_PROBLEM =
  'another process registers under the same id; give each a name of its own in `instance`';

/**
 * One round of registration: what the agent has is compared with what should be there, what differs is registered,
 * and states of checks that are new or would expire are sent. When rounds happen is decided in registration.ts.
 */
export class RegistrationSync {
  readonly ids: Ids;
  readonly checks: Checks;
  /** The agent had everything when last asked. */
  isConfirmed = false;
  /** Definitions sent so far; one without an answer may have gone through. */
  registrations = 0;
  private readonly client: RegistrationClient;
  private readonly watch: DefinitionWatcher;
  private compareAtMs = 0;
  private renewAtMs = 0;
  private overwritten = 0;
  private isLeaving = false;
  private isEnded = false;
  private readonly registered = new Map<string, string>();
  private inUse: readonly Check[];

  constructor(
    agent: RegistrationAgent,
    private readonly deps: ConsulDeps,
    private readonly instance: ServiceInstance,
    private readonly settings: RegistrationConfig,
    onDoubt: () => void,
  ) {
    this.ids = idsOf(instance);
    this.checks = new Checks(instance, this.ids);
    this.inUse = [this.checks.service];
    this.client = new RegistrationClient(agent, this.ids);
    this.watch = new DefinitionWatcher({
      clock: deps.clock,
      timers: deps.timers,
      client: this.client,
      waitMs: deps.config.waitMs,
      onDoubt: () => {
        this.isConfirmed = false;
        onDoubt();
      },
    });
  }

  /** Another process registers the same id, again and again: what the agent has is compared less often then. */
  get isConflicting(): boolean {
    return this.overwritten >= CONFLICT;
  }

  /** The instance may have changed: compares in the next round if it has. */
  recordChange(): void {
    for (const definition of this.definitions()) {
      const known = this.registered.get(definition.ID);
      if (known !== undefined && known !== essence(definition)) this.isConfirmed = false;
    }
  }

  /** Whether a round has something to do. */
  isDue(nowMs: number): boolean {
    return !this.isConfirmed || nowMs >= this.compareAtMs || this.due(nowMs).length > 0;
  }

  /** @throws AgentError, or an Error for an answer that is none. */
  async round(): Promise<void> {
    const nowMs = this.deps.clock.now();
    if (!this.isConfirmed || nowMs >= this.compareAtMs) await this.compare();
    for (const check of this.due(nowMs)) await this.sendCheck(check);
  }

  /** Both checks critical; from now on nothing is registered any more. @throws AgentError */
  async leave(): Promise<void> {
    for (const check of [...this.inUse].reverse())
      await this.client.updateCheck(check, this.deps.clock.now(), true);
  }

  /** Requests from now on are the last. */
  beginLeaving(): void {
    this.isLeaving = true;
    this.checks.leave();
  }

  /** The proxy first, because peers find the instance by it. @throws AgentError of the last that failed, both tried. */
  async deregister(): Promise<void> {
    let failure: unknown;
    for (const id of [this.ids.proxy, this.ids.service]) {
      try {
        await this.client.deregister(id);
      } catch (error) {
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
    this.isConfirmed = false;
  }

  /** Ends the watch of the definition. */
  end(): void {
    this.isEnded = true;
    this.watch.stop();
  }

  private due(nowMs: number): Check[] {
    return this.inUse.filter((check) => check.isDue(nowMs, REFRESH_MS));
  }

  /**
   * An agent that does not know the check has forgotten the instance: it is registered again, and the state sent
   * then.
   */
  private async sendCheck(check: Check): Promise<void> {
    try {
      await this.sendCheckAndOutput(check);
    } catch (error) {
      if (!isUnknown(error) || this.isLeaving) throw error;
      await this.compare();
      await this.sendCheckAndOutput(check);
    }
  }

  /**
   * Agents pass on another output for the same status only minutes later (`check_update_interval`), and with the next
   * registration of the service at once: so that follows where the output alone is new.
   */
  private async sendCheckAndOutput(check: Check): Promise<void> {
    const isOtherWords = check.isOutputChange;
    await this.client.updateCheck(check, this.deps.clock.now());
    if (!isOtherWords || this.isLeaving) return;
    await this.register(this.definitions().at(check === this.checks.service ? 0 : -1)!);
  }

  private async compare(): Promise<void> {
    const { clock } = this.deps;
    const held = await this.client.readState();
    const definitions = this.definitions();
    this.inUse = [this.checks.service, this.checks.proxy].slice(0, definitions.length);
    const isRenewal = clock.now() >= this.renewAtMs;
    let wasOverwritten = false;
    for (const definition of definitions) {
      if (this.isLeaving || (!isRenewal && isHeld(definition, held))) continue;
      wasOverwritten ||= this.isOverwritten(definition, held);
      await this.register(definition);
    }
    for (const check of this.inUse)
      check.recordHeld(held.checks.get(check.id) ?? { status: check.state.status, output: '' });
    if (isRenewal) this.renewAtMs = clock.now() + this.jittered(RENEW_MS);
    this.recordConflict(wasOverwritten);
    this.compareAtMs = clock.now() + this.jittered(this.isConflicting ? CONFLICT_COMPARE_MS : COMPARE_MS);
    this.isConfirmed = true;
    const watched = definitions.at(-1)!.ID;
    if (!this.isConflicting && !this.isLeaving && !this.isEnded) this.watch.start(watched);
  }

  /** Of the service, and of its proxy where there is one. */
  private definitions(): ServiceDefinition[] {
    const { service: model, proxy: sidecar } = this.checks;
    const states = { service: model.state.status, proxy: sidecar.state.status };
    const { service, proxy } = definitionsOf(this.instance, this.settings, states);
    return proxy === undefined ? [service] : [service, proxy];
  }

  private async register(definition: ServiceDefinition): Promise<void> {
    this.registrations += 1;
    await this.client.register(definition);
    this.registered.set(definition.ID, essence(definition));
  }

  /** Another process's definition stands where the very same one of this process did. */
  private isOverwritten(definition: ServiceDefinition, { services }: AgentState): boolean {
    const found = services.get(definition.ID);
    const isAnother = found !== undefined && !isSame(definition, found);
    return isAnother && this.registered.get(definition.ID) === essence(definition);
  }

  private recordConflict(wasOverwritten: boolean): void {
    const didQuarrel = this.isConflicting;
    this.overwritten = wasOverwritten ? this.overwritten + 1 : Math.max(0, this.overwritten - 1);
    if (!this.isConflicting || didQuarrel) return;
    this.watch.stop();
    this.deps.logger.warn({ id: this.ids.service }, CONFLICT_PROBLEM);
  }

  private jittered(ms: number): number {
    return ms * (1 - JITTER * this.deps.random());
  }
}

/** Whether the agent has this definition and all of its checks. */
function isHeld(definition: ServiceDefinition, { services, checks }: AgentState): boolean {
  const found = services.get(definition.ID);
  if (found === undefined || !isSame(definition, found)) return false;
  return definition.Checks.every(({ CheckID }) => checks.has(CheckID));
}

/** A definition without the states of its checks. */
function essence({ Checks: _, ...definition }: ServiceDefinition): string {
  return JSON.stringify(definition);
}
