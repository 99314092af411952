import { shellWord } from '../../admin/look/words.js';
import { readAddress } from '../../config/codecs/address.js';
import { present } from '../../config/present.js';
import { systemClock } from '../../runtime/time/clock.js';
import { askAdmin } from '../admin-client.js';
import { AskedAgent } from '../consul/asked-agent.js';
import { oneLine } from '../failure.js';
import { type CatalogInstance, catalogInstances, inboundAddresses } from '../status/catalog.js';
import { type AdminChoice, adminTargets, namedTargets, sidecarsOf, type Target } from '../status/status.js';
import { runningMeshes } from '../up/run-directory.js';
import { CatalogMemory } from './catalog-memory.js';
import { catalogReport } from './catalog-report.js';
import { collect, MAX_SIDECARS, type SinceOf } from './collector.js';
import { drillsInMetrics } from './drills.js';
import type { Answered } from './mesh-view.js';
import type { CatalogPeer } from './metric-endpoints.js';

/** Where the page has a mesh from. */
export interface Source {
  /** One round: what every sidecar says now, and what it has kept since it was last asked. Never rejects after the first time. @throws CommandFailure the first time, where there is no mesh. */
  look(sinceOf: SinceOf): Promise<Answered[]>;
  /** The admin port of a sidecar that the page may drain; undefined: there is none of this name, or none that it reaches. */
  target(sidecar: string): Target | undefined;
}

/** The sidecars at these admin addresses; empty: those of a mesh that `up` runs here. */
export class AdminSource implements Source {
  private targets: readonly Target[] = [];

  constructor(private readonly choice: AdminChoice) {}

  async look(sinceOf: SinceOf): Promise<Answered[]> {
    const isFirst = this.targets.length === 0;
    try {
      if (isFirst) this.targets = await namedTargets(adminTargets(this.choice));
      // A mesh of `up` may have other sidecars by now.
      else if (this.choice.admin.length === 0) this.targets = adminTargets(this.choice);
    } catch (error) {
      // What `up` ran before is gone: the page says that nothing answers.
      if (isFirst) throw error;
    }
    const { admin, mesh } = this.choice;
    const answers = await collect(this.targets, sinceOf);
    return answers.map((answer, i) => ({ ...answer, ...present('options', optionsOf(admin, mesh, i)) }));
  }

  target(sidecar: string): Target | undefined {
    return this.targets.find(({ name }) => name === sidecar);
  }
}

/** With what `outrider status` finds the sidecar again; undefined: with nothing, in the same folder. */
function optionsOf(admin: readonly string[], mesh: string | undefined, i: number): string | undefined {
  if (admin[i] !== undefined) return `--admin ${shellWord(admin[i])}`;
  return mesh === undefined ? undefined : `--mesh ${shellWord(mesh)}`;
}

const TIMEOUT_MS = 2_000;

/**
 * The sidecars in Consul's catalogue, on all machines of the datacenter. One whose admin port is reached (it runs here below `up`, or
 * `--admin` names the address, such as one that `ssh -L` forwards) says all that it knows and can be drained. Of any other the metrics
 * are read, where it has `observe`.
 */
export class CatalogSource implements Source {
  private readonly agent: AskedAgent;
  private known: ReadonlyMap<string, CatalogInstance> | undefined;
  /** Names of instances by the address at which their sidecars take calls. */
  private inbound: ReadonlyMap<string, string> = new Map();
  private targets: ReadonlyMap<string, Target> = new Map();
  /** Admin ports named by hand that are of no use: they do not answer, or are of no instance of the catalogue. */
  private silent: readonly Answered[] = [];
  private readonly memory = new CatalogMemory();

  /**
   * @param address of the agent; undefined: the one of the environment.
   * @param admin addresses of admin ports; empty: those of every mesh that `up` runs on this machine.
   * @throws CommandFailure(2) for an address that makes no sense.
   */
  constructor(
    address: string | undefined,
    private readonly admin: readonly string[] = [],
  ) {
    // Addresses by hand are read once: a wrong one ends the command.
    if (admin.length > 0) adminTargets({ admin });
    this.agent = AskedAgent.open(address);
  }

  async look(sinceOf: SinceOf): Promise<Answered[]> {
    await this.readCatalogue();
    const reached = await this.askAdmins(sinceOf);
    this.memory.begin(systemClock.now());
    const known = [...this.known!].slice(0, MAX_SIDECARS);
    const answers = await Promise.all(
      known.map(async ([name, catalog]) => reached.get(name) ?? (await this.ask(name, catalog))),
    );
    this.memory.end();
    return [...answers, ...this.silent];
  }

  target(sidecar: string): Target | undefined {
    return this.targets.get(sidecar);
  }

  /** @throws CommandFailure the first time, where there is no catalogue. */
  private async readCatalogue(): Promise<void> {
    try {
      this.known = await catalogInstances(this.agent);
      const services = [...this.known.values()].map(({ service }) => service);
      this.inbound = await inboundAddresses(this.agent, services);
    } catch (error) {
      if (this.known === undefined) throw this.agent.failure(error);
      // No agent for a moment: the sidecars are asked as before, and their checks stay as they were.
    } finally {
      this.agent.close();
    }
  }

  /** By the name of their instance: the sidecars of the catalogue whose admin ports answer here. */
  private async askAdmins(sinceOf: SinceOf): Promise<ReadonlyMap<string, Answered>> {
    const targets = this.adminPorts();
    const instances = new Map([...this.targets].map(([instance, { name }]) => [name, instance]));
    const answers = await collect(targets, (name) => sinceOf(instances.get(name) ?? name));
    const reached = new Map<string, Answered>();
    const found = new Map<string, Target>();
    const silent: Answered[] = [];
    answers.forEach((answer, i) => {
      const { name, report, problem } = answer;
      const catalog = report === undefined ? undefined : this.known!.get(report.instance);
      // Of the same name in another datacenter, or of a mesh without Consul.
      if (report === undefined || catalog?.service !== report.service) {
        silent.push({
          name,
          problem: problem ?? `is ${report!.instance}, which Consul's catalogue does not have`,
        });
        return;
      }
      const note = catalog.why === '' ? undefined : `in Consul: ${catalog.why}`;
      reached.set(report.instance, {
        ...answer,
        name: report.instance,
        options: '--consul',
        ...present('note', note),
      });
      found.set(report.instance, targets[i]!);
    });
    this.targets = found;
    this.silent = this.admin.length === 0 ? [] : silent;
    return reached;
  }

  /** None is no mistake: on a machine without a mesh of `up` there are the metrics. */
  private adminPorts(): Target[] {
    // Of all meshes here: the catalogue tells which of them belong to it.
    return this.admin.length > 0 ? adminTargets({ admin: this.admin }) : sidecarsOf(runningMeshes());
  }

  /** One that Consul calls critical and that does not answer is gone; any other has what the catalogue says of it. */
  private async ask(name: string, catalog: CatalogInstance): Promise<Answered> {
    const { metrics, problem } = await metricsOf(catalog.observe);
    if (problem !== undefined && catalog.status === 'critical')
      return { name, problem: `${problem}; in Consul: ${catalog.why}` };
    const note =
      problem ?? (catalog.observe === undefined ? 'no `observe`: its calls are not known' : undefined);
    const { memory } = this;
    const report = catalogReport(catalog, metrics, { sidecar: name, memory, peers: this.peers() });
    const drills = metrics === undefined ? undefined : drillsInMetrics(metrics);
    return {
      name,
      report,
      ...present('metrics', metrics),
      ...present('drills', drills),
      ...present('note', note),
      isRemote: true,
      options: '--consul',
    };
  }

  /** What the catalogue has of each address at which a sidecar takes calls. */
  private peers(): ReadonlyMap<string, CatalogPeer> {
    return new Map(
      [...this.inbound].map(([address, name]) => [address, { name, why: this.known!.get(name)?.why ?? '' }]),
    );
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
