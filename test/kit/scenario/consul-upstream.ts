/**
 * An upstream whose instances Consul knows, on one manual clock: real queries, real registry and real calls; the agent
 * answers, and endpoints are there, as the test says.
 */
import assert from 'node:assert/strict';
import { EndpointWatcher } from '../../../sidecar/discovery/consul/catalog/endpoint-watcher.js';
import { UpstreamWatcher } from '../../../sidecar/discovery/consul/chain/upstream-watcher.js';
import { metrics } from '../../../sidecar/discovery/consul/metrics.js';
import { QueryRegistry } from '../../../sidecar/discovery/consul/query/query-registry.js';
import type { ConsulDeps, QueryStatus } from '../../../sidecar/discovery/consul/query/query-spec.js';
import { createLogger } from '../../../sidecar/runtime/log/logger.js';
import { entryOf } from '../consul/answers.js';
import { CONFIG, type Read, ScriptedAgent } from '../consul/scripted-agent.js';
import { type Application, anUpstream, type OutboundStack, Stack } from '../stack/stack.js';
import { constant } from '../time/seeded-random.js';
import { countBy, resultOf } from './counts.js';

const STEP_MS = 50;

export class ConsulUpstream {
  readonly stack = new Stack();
  readonly agent: ScriptedAgent;
  readonly out: OutboundStack;
  readonly app: Application;
  private readonly watches: QueryRegistry;
  private readonly targets: EndpointWatcher;
  private readonly watch: UpstreamWatcher;

  constructor(options: Partial<typeof CONFIG> = {}) {
    const { clock } = this.stack;
    const consul = { service: 'digits', tags: [], meta: {}, failover: [] };
    const config = anUpstream([], { consul, tls: 'mesh', balance: { kind: 'round-robin' } });
    this.agent = new ScriptedAgent(clock);
    this.out = this.stack.outbound(config);
    this.app = this.stack.app(this.out.listener);
    const deps: ConsulDeps = {
      config: { ...CONFIG, rules: false, ...options },
      clock,
      timers: clock,
      random: constant(0.5),
      logger: createLogger({ level: 'error', destination: { write() {} } }),
    };
    const { outbound } = this.out;
    this.watches = new QueryRegistry(this.agent, deps);
    this.targets = new EndpointWatcher(this.watches, {
      ...deps,
      agent: this.agent,
      isAnswering: (address) => outbound.state.upstream.isAnswering(address),
    });
    this.watch = new UpstreamWatcher(
      config,
      this.watches,
      this.targets,
      { ...deps, service: 'app' },
      (knowledge) => {
        this.stack.settle(outbound.state.apply(knowledge));
      },
    );
  }

  /** From now on the agent knows these instances, at this index, and queries that wait for a change are answered. `a!`: critical. */
  async setInstances(index: number, ...names: readonly string[]): Promise<void> {
    const body = names.map((spec) => {
      const host = spec.replace('!', '');
      this.stack.backend(host).answer = (stream) => stream.reply(Buffer.from(host));
      const status = spec.endsWith('!') ? 'critical' : 'passing';
      return entryOf(host.charCodeAt(0), { host, port: 1, status });
    });
    const isNews = (read: Read): boolean => read.index === undefined || read.index !== String(index);
    this.agent.onRead = (read) => {
      // The token may read everything, and the agent is a member.
      if (!read.path.startsWith('/health/')) void read.answer(1, [{}]);
      else if (isNews(read)) void read.answer(index, body);
    };
    for (const read of this.agent.open) if (isNews(read)) await read.answer(index, body);
    await this.stack.clock.settle();
    this.stack.run();
  }

  /** The agent cannot be reached. */
  async away(): Promise<void> {
    this.agent.onRead = (read) => void read.break('unreachable', 'ECONNREFUSED');
    for (const read of this.agent.open) await read.break('unreachable', 'ECONNRESET');
  }

  /** The read that waits for an answer. */
  get read(): Read {
    return this.agent.one;
  }

  get status(): QueryStatus {
    const [only, ...others] = this.watches.statuses();
    assert.ok(only !== undefined && others.length === 0, 'one query');
    return only;
  }

  /** A metric of the queries; they have one label set each. */
  metric(name: string): number | undefined {
    const all = [...metrics(this.watches.statuses()), ...this.targets.metrics()];
    const sample = all.find((family) => family.name === name)?.samples[0];
    return sample !== undefined && 'value' in sample ? sample.value : undefined;
  }

  /** Time passes for calls and queries alike. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.stack.advance(Math.min(left, STEP_MS));
      await new Promise(setImmediate);
    }
    this.stack.run();
  }

  /** A call each `everyMs`, counted by its result. */
  async calls(count: number, everyMs = STEP_MS): Promise<Record<string, number>> {
    const results: string[] = [];
    for (let i = 0; i < count; i++) {
      const stream = this.app.call();
      await this.pass(everyMs);
      results.push(resultOf(stream));
    }
    return countBy(results, (result) => result);
  }

  async close(): Promise<void> {
    this.watch.close();
    this.targets.close();
    this.watches.close();
    await this.stack.clock.settle();
    this.stack.close();
  }
}
