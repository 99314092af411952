import type { ConsulAgent } from '../client/client.js';
import { AgentError, type GetOptions, type Query } from '../client/response.js';
import { type AgentCheck, type AgentService, readChecks, readServices } from './agent-state.js';
import type { Check } from './checks.js';
import type { ServiceDefinition } from './definition.js';
import type { Ids } from './instance.js';

/** The part of ConsulAgent that registration needs. */
export type RegistrationAgent = Pick<ConsulAgent, 'get' | 'put' | 'deregisterService' | 'updateCheck'>;

/** What the agent has of an instance: services and checks by id. */
export interface AgentState {
  readonly services: ReadonlyMap<string, AgentService>;
  readonly checks: ReadonlyMap<string, AgentCheck>;
}

/** For each answer: the agent is asked for this instance's own services and checks only. */
const MAX_BYTES = 4 * 1024 * 1024;
/** The agent is on this machine: an answer that takes longer does not come. */
const TIMEOUT_MS = 5_000;
/** Requests of a process that ends are given less time. */
const LAST_TIMEOUT_MS = 2_000;
const USUAL: GetOptions = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES };
const LAST: GetOptions = { timeoutMs: LAST_TIMEOUT_MS, maxBytes: MAX_BYTES };
/** Consul adds up to a sixteenth of the wait. */
const WAIT_SLACK = 17 / 16;

/**
 * The requests of a registration: what the agent has of the instance, to take a definition, to take the state of a
 * check, and to forget. When they are made is decided in sync.ts.
 */
export class RegistrationClient {
  constructor(
    private readonly agent: RegistrationAgent,
    private readonly ids: Ids,
  ) {}

  /** What the agent has of this instance. A token without the right to read gets nothing, which counts as forgotten. */
  async readState(): Promise<AgentState> {
    const { service, proxy } = this.ids;
    const own = (field: string): Query => ({
      filter: `${field} == ${JSON.stringify(service)} or ${field} == ${JSON.stringify(proxy)}`,
    });
    const services = await this.agent.get('/agent/services', own('ID'), USUAL);
    const checks = await this.agent.get('/agent/checks', own('ServiceID'), USUAL);
    return { services: readServices(services.body), checks: readChecks(checks.body) };
  }

  /**
   * Checks that the agent knows already keep their state. `replace-existing-checks` is not asked for: it would take away
   * the maintenance mode that an operator has put on the service.
   */
  async register(definition: ServiceDefinition): Promise<void> {
    await this.agent.put('/agent/service/register', {}, definition, USUAL);
  }

  /** @throws AgentError; `isUnknown` says of it whether the check has been forgotten. */
  async updateCheck(check: Check, nowMs: number, isLast = false): Promise<void> {
    const { state } = check;
    await this.agent.updateCheck(check.id, state.status, state.output, isLast ? LAST : USUAL);
    check.recordSent(state, nowMs);
  }

  /** A service that is not there counts as deregistered. */
  async deregister(id: string): Promise<void> {
    try {
      await this.agent.deregisterService(id, LAST);
    } catch (error) {
      if (!isUnknown(error)) throw error;
    }
  }

  /**
   * The hash of a service's definition, waiting up to `waitMs` while it is still `hash`. Undefined where the agent has
   * none to tell. @throws AgentError, with status 404 for a service that is gone.
   */
  async hashOf(
    id: string,
    hash: string | undefined,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const isFirst = hash === undefined;
    const { headers } = await this.agent.get(
      `/agent/service/${encodeURIComponent(id)}`,
      isFirst ? {} : { hash, wait: `${Math.round(waitMs)}ms` },
      { timeoutMs: isFirst ? TIMEOUT_MS : waitMs * WAIT_SLACK + TIMEOUT_MS, maxBytes: MAX_BYTES, signal },
    );
    return headers['x-consul-contenthash'];
  }
}

/** Whether the agent has no such service or check: 404, or in Consul 1.8 a 500 with one of these sentences. */
export function isUnknown(error: unknown): boolean {
  if (!(error instanceof AgentError) || error.fault !== 'status') return false;
  return error.status === 404 || /unknown (check|service)|not have associated TTL/i.test(error.message);
}
