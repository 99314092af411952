/** Two replicas of a service and a caller of it, each with a sidecar that knows everything from Consul; and load for them. */

import { PortAllocator } from '../../../sidecar/cli/up/port-allocator.js';
import { Load } from '../faults/load.js';
import { Seat, type SeatPlan, untilCurrent } from './sidecar-node.js';

export interface MeshPlan {
  readonly service: string;
  readonly caller: string;
  readonly folder: string;
  readonly agent: { readonly address: string };
  /** Of each sidecar's `consul` block. */
  readonly consul: SeatPlan['consul'];
  readonly logs?: string;
}

const REPLICAS = 2;
const SERVICE_MS = 5;
const PER_SECOND = 200;
const DEADLINE_MS = 2_000;

export class ConsulMesh {
  private constructor(
    readonly plan: MeshPlan,
    readonly replicas: readonly Seat[],
    readonly caller: Seat,
  ) {}

  /** Resolves when all sidecars run. */
  static async open(plan: MeshPlan): Promise<ConsulMesh> {
    const opened = await Promise.allSettled((await plansOf(plan)).map((seat) => Seat.open(seat)));
    const seats = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const broken = opened.find((one) => one.status === 'rejected');
    if (broken !== undefined) {
      await Promise.all(seats.map((seat) => seat.close()));
      throw broken.reason;
    }
    return new ConsulMesh(plan, seats.slice(1), seats[0]!);
  }

  get seats(): readonly Seat[] {
    return [...this.replicas, this.caller];
  }

  /** Its private key outlives its process. */
  get keeper(): Seat {
    return this.replicas[0]!;
  }

  /** Its private key does not. */
  get keyless(): Seat {
    return this.replicas[1]!;
  }

  untilCurrent(limitMs?: number): Promise<void> {
    return untilCurrent(this.seats, limitMs);
  }

  /** Resolves when calls go through. */
  startLoad(): Promise<Load> {
    const target = this.caller.target(this.plan.service);
    return Load.start({ target, perSecond: PER_SECOND, deadlineMs: DEADLINE_MS });
  }

  /** `killed`: they stay in the catalogue. */
  async close(how: 'drained' | 'killed' = 'drained'): Promise<void> {
    await Promise.all(this.seats.map((seat) => seat.close(how)));
  }
}

/** The caller first. */
async function plansOf({ service, caller, folder, agent, consul, logs }: MeshPlan): Promise<SeatPlan[]> {
  const ports = new PortAllocator();
  const find = () => ports.find('127.0.0.1');
  const callerPort = await find();
  const inboundPorts = await Promise.all(Array.from({ length: REPLICAS }, find));
  await ports.release();
  const common = { folder, agent, consul, ...(logs && { logs }) };
  return [
    {
      ...common,
      service: caller,
      instance: `${caller}-1`,
      keepsKeys: true,
      upstreams: { [service]: callerPort },
    },
    ...inboundPorts.map((inboundPort, i) => ({
      ...common,
      service,
      instance: `${service}-${i + 1}`,
      keepsKeys: i === 0,
      inboundPort,
      serviceMs: SERVICE_MS,
      upstreams: {},
    })),
  ];
}
