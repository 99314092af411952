import { readAddress } from '../../config/codecs/address.js';
import { present } from '../../config/present.js';
import { systemClock } from '../../runtime/time/clock.js';
import { askAdmin } from '../admin-client.js';
import { AskedAgent } from '../consul/asked-agent.js';
import { CommandFailure, oneLine } from '../failure.js';
import { type CatalogInstance, catalogInstances } from '../status/catalog.js';
import { adminTargets, type Target } from '../status/status.js';
import { catalogReport } from './catalog-report.js';
import { collect, MAX_SIDECARS } from './collector.js';
import type { Answered } from './mesh-view.js';

/** Where the page has a mesh from. */
export interface Source {
  /** One round: what every sidecar says now. Never rejects after the first time. @throws CommandFailure the first time, where there is no mesh. */
  look(): Promise<Answered[]>;
  /** The admin port of a sidecar that the page may drain; undefined: there is none of this name, or none that it reaches. */
  target(sidecar: string): Target | undefined;
}

/** The sidecars at these admin addresses; empty: those of every mesh that `up` runs on this machine. */
export class AdminSource implements Source {
  private targets: Target[] = [];

  constructor(private readonly admin: readonly string[]) {}

  look(): Promise<Answered[]> {
    try {
      // A mesh of `up` may have other sidecars by now.
      if (this.targets.length === 0 || this.admin.length === 0) this.targets = adminTargets(this.admin);
    } catch (error) {
      // What `up` ran before is gone: the page says that nothing answers.
      if (this.targets.length === 0) throw error;
    }
    return collect(this.targets);
  }

  target(sidecar: string): Target | undefined {
    return this.targets.find(({ name }) => name === sidecar);
  }
}

const TIMEOUT_MS = 2_000;

/**
 * The sidecars in Consul's catalogue, on all machines of the datacenter, with the metrics of those that have `observe`. Admin ports are on
 * the loopback of their machines, so nothing can be drained from here.
 */
export class CatalogSource implements Source {
  private readonly agent: AskedAgent;
  private known: ReadonlyMap<string, CatalogInstance> | undefined;
  /** Since when something has been in its state, as far as this process has seen it. */
  private states = new Map<
    string,
    { readonly state: string; readonly atMs: number; readonly seenMs: number }
  >();

  /** @param address of the agent; undefined: the one of the environment. @throws CommandFailure(2) for one that makes no sense. */
  constructor(address: string | undefined) {
    this.agent = AskedAgent.open(address);
  }

  async look(): Promise<Answered[]> {
    try {
      this.known = await catalogInstances(this.agent);
    } catch (error) {
      if (this.known === undefined) throw new CommandFailure(`Consul at ${this.agent.problem(error)}`);
      // No agent for a moment: the sidecars are asked as before, and their checks stay as they were.
    } finally {
      this.agent.close();
    }
    const nowMs = systemClock.now();
    const answers = await Promise.all(
      [...this.known].slice(0, MAX_SIDECARS).map((each) => this.ask(...each, nowMs)),
    );
    for (const [key, { seenMs }] of this.states) if (seenMs < nowMs) this.states.delete(key);
    return answers;
  }

  target(): undefined {
    return undefined;
  }

  /** One that Consul calls critical and that does not answer is gone; any other has what the catalogue says of it. */
  private async ask(name: string, catalog: CatalogInstance, nowMs: number): Promise<Answered> {
    const { metrics, problem } = await metricsOf(catalog.observe);
    if (problem !== undefined && catalog.status === 'critical')
      return { name, problem: `${problem}; in Consul: ${catalog.why}` };
    const since = (what: string, state: string) => this.since(what, state, nowMs);
    const note =
      problem ?? (catalog.observe === undefined ? 'no `observe`: its calls are not known' : undefined);
    const report = catalogReport(name, catalog, metrics, since);
    return { name, report, ...present('metrics', metrics), ...present('note', note), isRemote: true };
  }

  private since(what: string, state: string, nowMs: number): number {
    const before = this.states.get(what);
    const atMs = before?.state === state ? before.atMs : nowMs;
    this.states.set(what, { state, atMs, seenMs: nowMs });
    return nowMs - atMs;
  }
}

/** The address comes from the catalogue, which other programs write as well. */
async function metricsOf(observe: string | undefined): Promise<{ metrics?: string; problem?: string }> {
  if (observe === undefined) return {};
  const address = readAddress(observe);
  if (!address.ok) return { problem: `outrider-observe: ${address.problem}` };
  try {
    const { status, body } = await askAdmin(address.value, '/metrics', { timeoutMs: TIMEOUT_MS });
    return status === 200 ? { metrics: body } : { problem: `${observe} answered ${status}` };
  } catch (error) {
    return { problem: `${observe}: ${oneLine(error)}` };
  }
}
