/** Consul in the simulated world: its servers, an agent on each machine, and what goes wrong with them. */
import type { Dice } from '../../dice.js';
import type { ConsulPlan, FaultPlan } from '../../plan/plan.js';
import type { SimProcess } from '../sim-process.js';
import { ConsulAgent } from './agent.js';
import { ConsulServers, type Intention } from './servers.js';

type Surroundings = ConstructorParameters<typeof SimProcess>[2] & { note(line: string): void };

export class SimConsul {
  readonly servers: ConsulServers;
  readonly agents: readonly ConsulAgent[];

  constructor(
    private readonly plan: ConsulPlan,
    world: Surroundings,
    dice: Dice,
  ) {
    this.servers = new ConsulServers(world.clock, (line) => world.note(line));
    this.servers.defaultPolicy = plan.defaultPolicy;
    for (const each of plan.intentions) this.servers.setIntention(each);
    this.agents = Object.entries(plan.machines).map(([name, address]) => {
      const agent = new ConsulAgent(name, address, this.servers, world, dice.of(`agent ${name}`));
      agent.forgets = plan.agentsForget;
      world.net.streams.add(agent.where);
      return agent;
    });
    for (const { machine, definitions } of plan.entries) this.register(machine, definitions);
  }

  private register(machine: string, definitions: readonly object[]): void {
    const agent = this.agents.find(({ node }) => node === machine);
    for (const definition of definitions) agent?.configure(definition as Record<string, unknown>);
  }

  /** Agents that a fault is about; no name: all. */
  private of({ target }: FaultPlan): readonly ConsulAgent[] {
    return this.agents.filter(({ node }) => target === '' || node === target);
  }

  begin(fault: FaultPlan): void {
    switch (fault.kind) {
      case 'consul-away':
        for (const agent of this.of(fault)) agent.kill();
        return;
      case 'consul-hangs':
        for (const agent of this.of(fault)) agent.process.freeze();
        return;
      case 'consul-cut-off':
        for (const agent of this.of(fault)) agent.isCutOff = true;
        return;
      case 'consul-lags':
        for (const agent of this.of(fault)) agent.lagMs = fault.amount;
        return;
      case 'consul-breaks':
        for (const agent of this.of(fault)) agent.breakConnections();
        return;
      case 'consul-no-leader':
        this.servers.hasLeader = false;
        return;
      case 'consul-no-rights':
        this.servers.hasRights = false;
        return;
      case 'consul-loses-state':
        this.servers.loseState();
        return;
      case 'flapping-check':
        return this.flap(fault);
      case 'deregister': {
        const id = this.serviceAt(fault.target);
        for (const each of [id, `${id}-sidecar-proxy`]) this.of(fault)[0]?.deregister(each);
        return;
      }
      case 'maintenance':
        return this.of(fault)[0]?.maintain(this.serviceAt(fault.target), true);
      case 'consul-slow':
        for (const agent of this.of(fault)) {
          agent.slowMs = fault.amount;
          agent.isQuickToTell = fault.isQuickToTell === true;
        }
        return;
      case 'deny-intention':
        return this.twice(
          fault,
          () => this.servers.setIntention({ ...this.intentionOf(fault), action: 'deny' }),
          () => this.restoreIntention(this.intentionOf(fault)),
        );
      default:
        return;
    }
  }

  end(fault: FaultPlan): void {
    switch (fault.kind) {
      case 'consul-away':
        for (const agent of this.of(fault)) if (agent.process.isDead) agent.start();
        return;
      case 'consul-hangs':
        for (const agent of this.of(fault)) agent.process.thaw();
        return;
      case 'consul-cut-off':
        for (const agent of this.of(fault)) agent.isCutOff = false;
        return;
      case 'consul-lags':
        for (const agent of this.of(fault)) agent.lagMs = 0;
        return;
      case 'consul-no-leader':
        this.servers.hasLeader = true;
        return;
      case 'consul-no-rights':
        this.servers.hasRights = true;
        return;
      case 'deregister':
        return this.register(
          fault.target,
          this.plan.entries
            .filter(({ machine }) => machine === fault.target)
            .flatMap((each) => each.definitions),
        );
      case 'maintenance':
        return this.of(fault)[0]?.maintain(this.serviceAt(fault.target), false);
      case 'consul-slow':
        for (const agent of this.of(fault)) agent.slowMs = 0;
        return;
      case 'deny-intention':
        return this.twice(
          fault,
          () => this.restoreIntention(this.intentionOf(fault)),
          () => this.servers.setIntention({ ...this.intentionOf(fault), action: 'deny' }),
        );
      default:
        return;
    }
  }

  /** An operator says something, takes it back, and says it again. */
  private twice({ amount }: FaultPlan, say: () => void, takeBack: () => void): void {
    say();
    if (amount === 0) return;
    this.servers.later(amount, takeBack);
    this.servers.later(2 * amount, say);
  }

  /** As it was before it was denied: said, or left to the default. */
  private restoreIntention({ source, destination }: Pick<Intention, 'source' | 'destination'>): void {
    const before = this.plan.intentions.find(
      (each) => each.source === source && each.destination === destination,
    );
    if (before === undefined) this.servers.removeIntention({ source, destination });
    else this.servers.setIntention(before);
  }

  /** A replica that nobody calls, and an intention about a caller that there is not. */
  setGhost(isThere: boolean): void {
    const { servers } = this;
    const { destination } = this.plan;
    const intention = { source: 'ghost', destination };
    if (!isThere) {
      servers.removeIntention(intention);
      return servers.removeService('ghost', 'ghost-proxy');
    }
    servers.setIntention({ ...intention, action: servers.defaultPolicy === 'allow' ? 'deny' : 'allow' });
    servers.setNode('ghost', '10.0.0.99', 'passing');
    const proxy = { DestinationServiceName: destination, DestinationServiceID: 'ghost' };
    const content = { ID: 'ghost-proxy', Name: `${destination}-sidecar-proxy`, Kind: 'connect-proxy' };
    servers.setService({
      ...{ node: 'ghost', id: 'ghost-proxy', name: content.Name, destination },
      content: {
        ...content,
        Address: '10.0.0.99',
        Port: 9443,
        Weights: { Passing: 1, Warning: 1 },
        Proxy: proxy,
      },
    });
  }

  /** Gossip loses the machine and finds it again. */
  private flap(fault: FaultPlan): void {
    const [agent] = this.of(fault);
    if (agent === undefined) return;
    const times = Math.max(1, Math.floor((fault.untilMs - fault.atMs) / fault.amount / 2));
    for (let i = 0; i < 2 * times; i++)
      this.servers.later(i * fault.amount, () =>
        this.servers.setNode(agent.node, agent.address, i % 2 === 0 ? 'critical' : 'passing'),
      );
  }

  private serviceAt(machine: string): string {
    return this.plan.services[machine] ?? '';
  }

  private intentionOf({ target }: FaultPlan): { readonly source: string; readonly destination: string } {
    return { source: this.plan.callers[target] ?? '', destination: this.plan.destination };
  }
}
