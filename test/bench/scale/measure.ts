/** One size of a fleet: what it costs at rest, and what each replica costs that comes or goes. The same for every registry. */

import { setTimeout as sleep } from 'node:timers/promises';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { residentBytes } from '../../kit/process/processes.js';
import { cpuNs } from '../load/cpu.js';
import { quantile } from './fit.js';
import type { FleetCounts, FleetRequest } from './protocol.js';

/** Sidecars of a process; with Consul also of an agent. */
export const PER_PROCESS = 100;
/** After the start, and after each change: reads that follow it have come. */
const SETTLE_MS = 2_000;
const REST_MS = 15_000;
const QUICK_REST_MS = 3_000;

/** What sidecars find their upstream by. */
export interface Registry {
  /** Processes whose CPU time and memory count. */
  pids(): readonly number[];
  /** Those between the sidecars and the registry: an agent for each hundred. Absent: there are none. */
  agentPids?(): readonly number[];
  /** A replica comes, or goes. Resolves with the time at which that began, by `nowMs`. */
  come(): Promise<number>;
  go(): Promise<number>;
  /** States of checks that were written per second in the last ten seconds; absent: there are none. */
  checksPerSecond?(): Promise<number>;
}

/** The figures of one size. CPU times are of all cores. */
export interface Point {
  readonly sidecars: number;
  readonly replicas: number;
  /** Of one sidecar. */
  readonly connections: number;
  readonly registryRssMb: number;
  /** Milliseconds of CPU per second. */
  readonly registryRestCpu: number;
  readonly checksPerSecond?: number;
  /** Of the agents, for one sidecar: milliseconds of CPU per second at rest, and of each change. */
  readonly agentRestCpu: number;
  readonly agentCpuMsPerChange: number;
  /** Mean of an agent with its sidecars; 0: there are none. */
  readonly agentRssMb: number;
  /** Of one sidecar. */
  readonly restBytesPerSecond: number;
  readonly changes: number;
  /** To one sidecar. */
  readonly bytesPerChange: number;
  readonly registryCpuMsPerChange: number;
  /** Of one sidecar. */
  readonly cpuMsPerChange: number;
  /** Until a sidecar knows the change. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Sidecars in a few processes. */
export class Fleet {
  private readonly processes: AskedProcess<FleetRequest>[] = [];
  private size = 0;

  /** @param fileOf gives the file of the sidecars of the next process. */
  constructor(private readonly fileOf: () => string | Promise<string>) {}

  async growTo(size: number): Promise<void> {
    const added: Promise<void>[] = [];
    while (this.size < size) {
      const inLast = this.size % PER_PROCESS;
      if (inLast === 0) this.processes.push(await startFleet(await this.fileOf()));
      const count = Math.min(PER_PROCESS - inLast, size - this.size);
      added.push(this.processes.at(-1)!.ask({ do: 'grow', first: this.size, count }));
      this.size += count;
    }
    await Promise.all(added);
  }

  async counts(): Promise<FleetCounts> {
    const all = await Promise.all(this.processes.map((each) => each.ask<FleetCounts>({ do: 'counts' })));
    const sum = (field: keyof FleetCounts): number => all.reduce((total, each) => total + each[field], 0);
    return { connections: sum('connections'), bytesIn: sum('bytesIn'), cpuMs: sum('cpuMs') };
  }

  /** When each sidecar learned it. */
  async known(isThere: boolean): Promise<number[]> {
    const all = await Promise.all(this.processes.map((each) => each.ask<number[]>({ do: 'known', isThere })));
    return all.flat();
  }

  stop(): void {
    for (const each of this.processes) each.stop();
  }
}

export function startFleet(config: string): Promise<AskedProcess<FleetRequest>> {
  return AskedProcess.start(new URL('fleet.js', import.meta.url), { args: [config] });
}

/** What has been used up so far. */
interface Used extends FleetCounts {
  readonly atMs: number;
  readonly registryCpuMs: number;
  readonly agentCpuMs: number;
}

type Counter = 'bytesIn' | 'cpuMs' | 'registryCpuMs' | 'agentCpuMs';

/** Grows the fleet to this size and measures it. @param rounds the replica comes and goes so many times. */
export async function measurePoint(
  fleet: Fleet,
  registry: Registry,
  {
    sidecars,
    replicas,
    rounds,
    quick,
  }: { sidecars: number; replicas: number; rounds: number; quick: boolean },
): Promise<Point> {
  const agentPids = (): readonly number[] => registry.agentPids?.() ?? [];
  const used = async (): Promise<Used> => {
    const counts = await fleet.counts();
    const [registryCpuMs, agentCpuMs] = [registry.pids(), agentPids()].map((pids) => cpuNs(pids) / 1e6);
    return { ...counts, atMs: performance.now(), registryCpuMs: registryCpuMs!, agentCpuMs: agentCpuMs! };
  };
  await fleet.growTo(sidecars);
  await sleep(SETTLE_MS);
  const from = await used();
  await sleep(quick ? QUICK_REST_MS : REST_MS);
  const rested = await used();
  const restMs = rested.atMs - from.atMs;
  const restOf = (field: Counter): number => (rested[field] - from[field]) / restMs;
  const delays: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const isThere of [true, false]) {
      const beganMs = await (isThere ? registry.come() : registry.go());
      delays.push(...(await fleet.known(isThere)).map((atMs) => atMs - beganMs));
      await sleep(SETTLE_MS);
    }
  }
  const changed = await used();
  const changes = 2 * rounds;
  const perChange = (field: Counter): number =>
    Math.max(0, changed[field] - rested[field] - restOf(field) * (changed.atMs - rested.atMs)) / changes;
  const checksPerSecond = await registry.checksPerSecond?.();
  return {
    sidecars,
    replicas,
    connections: rested.connections / sidecars,
    registryRssMb: residentBytes(registry.pids()) / 1e6,
    registryRestCpu: restOf('registryCpuMs') * 1_000,
    ...(checksPerSecond === undefined ? {} : { checksPerSecond }),
    agentRestCpu: (restOf('agentCpuMs') * 1_000) / sidecars,
    agentCpuMsPerChange: perChange('agentCpuMs') / sidecars,
    agentRssMb: residentBytes(agentPids()) / 1e6 / Math.max(1, agentPids().length),
    restBytesPerSecond: (restOf('bytesIn') * 1_000) / sidecars,
    changes,
    bytesPerChange: perChange('bytesIn') / sidecars,
    registryCpuMsPerChange: perChange('registryCpuMs'),
    cpuMsPerChange: perChange('cpuMs') / sidecars,
    p50Ms: quantile(delays, 0.5),
    p99Ms: quantile(delays, 0.99),
  };
}
