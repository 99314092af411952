import type { MeshConfig } from '../../config/model.js';
import type { Random } from '../../runtime/random.js';
import type { Clock } from '../../runtime/time/clock.js';
import type { Timers } from '../../runtime/time/timers.js';
import type { ModelReport } from '../../telemetry/reports.js';
import type { ConsulBinary } from '../consul/binary.js';
import { DevAgent } from '../consul/dev-agent.js';
import { writeIntentions } from '../consul/write-intentions.js';
import { agentPorts } from './consul-side.js';
import { PortAllocator } from './port-allocator.js';
import type { RunDirectory } from './run-directory.js';

export interface OwnConsulInput {
  readonly binary: ConsulBinary;
  readonly mesh: MeshConfig;
  readonly run: RunDirectory;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  onChange(report: ModelReport): void;
}

/** Its folder in the run directory; no mesh service can have this name, because a name begins with a letter or digit. */
const FOLDER = '_consul';

/** Started, not ready yet: see `settled`. */
export async function startConsul(input: OwnConsulInput): Promise<DevAgent> {
  const book = new PortAllocator();
  try {
    const ports = await agentPorts(input.mesh, book);
    const { datacenter } = input.mesh;
    const agent = new DevAgent({ ...input, folder: input.run.folder(FOLDER), ports, datacenter });
    await book.release();
    agent.start();
    return agent;
  } finally {
    await book.release();
  }
}

/** Resolves when the agent is ready for sidecars. Throws a CommandFailure. */
export async function settled(agent: DevAgent, mesh: MeshConfig): Promise<void> {
  await agent.ready;
  const fileDecides = mesh.consul?.intentions === false;
  if (!fileDecides) await writeIntentions(agent.api, mesh);
}
