/**
 * A Consul agent in memory, as far as registration is concerned, with the answers of a real 1.8.7: what is registered
 * again keeps the state of its checks, a check that is not known is a 500, and a token may miss rights.
 */

import {
  AgentError,
  type Answer,
  type GetOptions,
  type Query,
} from '../../../sidecar/discovery/consul/client/response.js';
import type { RegistrationAgent } from '../../../sidecar/discovery/consul/registration/agent-client.js';
import type {
  CheckDefinition,
  ServiceDefinition,
} from '../../../sidecar/discovery/consul/registration/definition.js';

interface StoredCheck {
  status: string;
  output: string;
  readonly definition: CheckDefinition;
  readonly service: string;
}

export class FakeAgent implements RegistrationAgent {
  readonly services = new Map<string, ServiceDefinition>();
  readonly checks = new Map<string, StoredCheck>();
  /** Every request that changes something, in order. */
  readonly log: string[] = [];
  requests = 0;
  /** Thrown by every request while set. */
  fault: AgentError | undefined;
  /** Answers of lists are this text while set. */
  garbage: string | undefined;
  private readonly held: { readonly id: string; readonly wake: (error?: AgentError) => void }[] = [];

  /** All is lost, as after a restart without a disk; reads that were held open break. */
  forget(): void {
    this.services.clear();
    this.checks.clear();
    for (const { wake } of this.held.splice(0)) wake(new AgentError('unreachable', 'the connection broke'));
  }

  /** Another client changes or removes a service. */
  meddle(id: string, definition?: ServiceDefinition): void {
    if (definition === undefined) this.services.delete(id);
    else this.services.set(id, definition);
    for (const each of this.held.splice(0)) {
      if (each.id === id) each.wake();
      else this.held.push(each);
    }
  }

  async get(path: string, query: Query, { signal }: GetOptions): Promise<Answer> {
    this.begin();
    if (path === '/agent/services')
      return json(Object.fromEntries([...this.services].map(asAgent)), this.garbage);
    if (path === '/agent/checks') {
      const shown = ({ status: Status, output: Output, definition: { TTL } }: StoredCheck) => ({
        ...{ Status, Output, Type: TTL === undefined ? '' : 'ttl' },
      });
      return json(Object.fromEntries([...this.checks].map(([id, each]) => [id, shown(each)])), this.garbage);
    }
    const id = decodeURIComponent(path.replace('/agent/service/', ''));
    if (query['hash'] !== undefined && query['hash'] === this.hash(id)) await this.hold(id, signal);
    if (!this.services.has(id)) throw new AgentError('status', `404 unknown service ID: ${id}`, 404);
    return { ...json({}), headers: { 'x-consul-contenthash': this.hash(id) } };
  }

  async put(path: string, query: Query, body: unknown): Promise<Answer> {
    this.begin();
    const definition = body as ServiceDefinition;
    this.log.push(`register ${definition.ID} ${JSON.stringify(query)}`);
    this.services.set(definition.ID, definition);
    for (const check of definition.Checks) {
      const known = this.checks.get(check.CheckID);
      const { status = check.Status, output = '' } = known ?? {};
      this.checks.set(check.CheckID, { status, output, definition: check, service: definition.ID });
    }
    if (path !== '/agent/service/register') throw new Error(path);
    return json('');
  }

  async deregisterService(id: string): Promise<Answer> {
    this.begin();
    this.log.push(`deregister ${id}`);
    if (!this.services.delete(id)) throw new AgentError('status', `500 Unknown service {"${id}" {}}`, 500);
    for (const [check, { service }] of this.checks) if (service === id) this.checks.delete(check);
    return json('');
  }

  async updateCheck(id: string, status: string, output: string): Promise<Answer> {
    this.begin();
    this.log.push(`${id} ${status} ${output}`);
    const check = this.checks.get(id);
    if (check === undefined)
      throw new AgentError('status', `500 CheckID "${id}" does not have associated TTL`, 500);
    check.status = status;
    check.output = output;
    return json('');
  }

  private begin(): void {
    this.requests += 1;
    if (this.fault !== undefined) throw this.fault;
  }

  private hash(id: string): string {
    return JSON.stringify(this.services.get(id) ?? '');
  }

  private hold(id: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new AgentError('cancelled', 'cancelled')));
      this.held.push({ id, wake: (error) => (error === undefined ? resolve() : reject(error)) });
    });
  }
}

/** As the agent lists it, with what it adds by itself. */
function asAgent([id, { Name, Checks: _, ...rest }]: [string, ServiceDefinition]): [string, object] {
  const added = { EnableTagOverride: false, TaggedAddresses: {} };
  return [id, { ...rest, Service: Name, ...added, Tags: [...rest.Tags] }];
}

function json(value: unknown, garbage?: string): Answer {
  return { status: 200, index: undefined, body: Buffer.from(garbage ?? JSON.stringify(value)), headers: {} };
}
