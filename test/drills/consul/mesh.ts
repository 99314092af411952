/** Two replicas of a service and a caller of it, each with a sidecar that knows everything from Consul; and load for them. */

import { freePort } from '../../kit/process/free-port.js';
import { Load } from '../faults/load.js';
import { type NodePlan, SidecarNode, untilCurrent } from './sidecar-node.js';

export interface MeshPlan extends Pick<NodePlan, 'service' | 'bench' | 'agent' | 'consul' | 'logs'> {
  readonly caller: string;
}

const REPLICAS = 2;
const SERVICE_MS = 5;
const PER_SECOND = 200;
const DEADLINE_MS = 2_000;

export class ConsulMesh {
  private constructor(
    readonly plan: MeshPlan,
    /** The private key of the first outlives its process. */
    readonly replicas: readonly SidecarNode[],
    readonly caller: SidecarNode,
  ) {}

  /** Resolves when all sidecars run. */
  static async open(plan: MeshPlan): Promise<ConsulMesh> {
    const opened = await Promise.allSettled((await plansOf(plan)).map((node) => SidecarNode.open(node)));
    const nodes = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const broken = opened.find((one) => one.status === 'rejected');
    if (broken !== undefined) {
      await Promise.all(nodes.map((node) => node.close()));
      throw broken.reason;
    }
    return new ConsulMesh(plan, nodes.slice(1), nodes[0]!);
  }

  get nodes(): readonly SidecarNode[] {
    return [...this.replicas, this.caller];
  }

  untilCurrent(limitMs?: number): Promise<void> {
    return untilCurrent(this.nodes, limitMs);
  }

  startLoad(): Promise<Load> {
    const target = this.caller.target(this.plan.service);
    return Load.start({ target, perSecond: PER_SECOND, deadlineMs: DEADLINE_MS });
  }

  /** `killed`: they stay in the catalogue. */
  async close(how: 'drained' | 'killed' = 'drained'): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close(how)));
  }
}

/** The caller first. */
async function plansOf({ caller, ...common }: MeshPlan): Promise<NodePlan[]> {
  const { service } = common;
  const callerPort = await freePort();
  const inboundPorts = await Promise.all(Array.from({ length: REPLICAS }, () => freePort()));
  const called = { service: caller, instance: `${caller}-1`, upstreams: { [service]: callerPort } };
  const replicas = inboundPorts.map((inboundPort, i) => {
    const named = { instance: `${service}-${i + 1}`, keepsKeys: i === 0 };
    return { ...common, ...named, inboundPort, serviceMs: SERVICE_MS, upstreams: {} };
  });
  return [{ ...common, ...called, keepsKeys: true }, ...replicas];
}
