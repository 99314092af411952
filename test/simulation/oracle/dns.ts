/** What must hold where replicas are found by DNS. */
import type { Plan } from '../plan/plan.js';
import type { World } from '../world/world.js';
import { replicasOf } from './evidence.js';

/** The longest period of the plans, by a tenth more, and the time of an answer, ms. */
const BOUND_MS = 3_500;
/** With fewer replicas one is most of them, and is kept while it answers. */
const LEAST = 4;

export function judgeDns(world: World): void {
  const { plan } = world;
  if (!plan.features.includes('dns') || plan.faults.some(({ kind }) => kind === 'reload')) return;
  for (const { name, insides, process } of world.sidecars) {
    if (insides === undefined || process.isDead) continue;
    for (const { name: upstream, clusters } of insides.outbound.upstreams) {
      const known = clusters.flatMap(({ endpoints }) => endpoints.map(({ label }) => label)).sort();
      const there = replicasOf(plan, upstream)
        .map((replica) => listenOf(plan, replica))
        .sort();
      if (`${known}` !== `${there}`)
        world.find('registry', `${name}: ${upstream} has ${known} at rest, and DNS has ${there}`);
    }
  }
  judgeLost(world);
}

/** A replica that has left the answers gets no new call. */
function judgeLost(world: World): void {
  const { plan, records } = world;
  const others = plan.faults.filter(({ kind }) => kind === 'dns-fails' || kind === 'dns-empty');
  if (others.length > 0 || plan.faults.some(({ kind }) => kind === 'freeze-caller')) return;
  for (const { kind, target, atMs, untilMs } of plan.faults) {
    if (kind !== 'dns-loses') continue;
    const { service } = plan.replicas.find(({ name }) => name === target)!;
    if (replicasOf(plan, service).length < LEAST) continue;
    const late = records.find(
      ({ plan: call, executions }) =>
        call.atMs > atMs + BOUND_MS &&
        call.atMs < untilMs &&
        executions.some(({ replica }) => replica === target),
    );
    if (late !== undefined)
      world.find('registry', `call ${late.plan.id} went to ${target}, which DNS had left out`);
  }
}

function listenOf({ replicas }: Plan, replica: string): string {
  const { file } = replicas.find(({ name }) => name === replica)!;
  return (file as { inbound: { listen: string } }).inbound.listen;
}
