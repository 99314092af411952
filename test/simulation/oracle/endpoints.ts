/** After a reload calls go to the endpoints of the new file only, and to none whose weight is 0. */
import type { CallerPlan, Plan } from '../plan/plan.js';
import type { World } from '../world/world.js';
import { type EndpointsOfFile, usableOf } from './harm.js';

/** A reload is in force after this, ms. */
const BOUND_MS = 200;

interface File {
  readonly outbound: { readonly upstreams: Readonly<Record<string, EndpointsOfFile>> };
}

export function judgeEndpoints(world: World): void {
  const { plan } = world;
  if (plan.faults.some(({ kind }) => kind === 'freeze-caller')) return;
  for (const [index, caller] of plan.callers.entries())
    for (const { fromMs, toMs, file } of filesOf(plan, caller)) {
      const listed = Object.values(file.outbound.upstreams).flatMap(usableOf);
      if (listed.length === 0) continue;
      for (const { plan: call, executions } of world.records) {
        if (call.caller !== index || call.atMs < fromMs + BOUND_MS || call.atMs >= toMs) continue;
        // One that waits until the next file is in force goes by that.
        const byMs = world.originMs + toMs;
        const other = executions.find(
          ({ replica, startMs }) => startMs < byMs && !listed.includes(addressOf(plan, replica)),
        );
        if (other !== undefined)
          world.find('registry', `call ${call.id} went to ${other.replica}, which a reload had taken out`, [
            call.id,
          ]);
      }
    }
}

/** Of a caller, with the times of the plan in which each is in force. */
export function filesOf(plan: Plan, caller: CallerPlan) {
  const reloads = plan.faults.filter(
    ({ kind, target, file }) => kind === 'reload' && target === caller.name && file,
  );
  const all = [
    { fromMs: -1_000, file: caller.file },
    ...reloads.map(({ atMs, file }) => ({ fromMs: atMs, file })),
  ];
  return all.map(({ fromMs, file }, i) => ({
    fromMs,
    toMs: all[i + 1]?.fromMs ?? Number.POSITIVE_INFINITY,
    file: file as unknown as File,
  }));
}

function addressOf({ replicas }: Plan, replica: string): string {
  const { file } = replicas.find(({ name }) => name === replica)!;
  return (file as unknown as { inbound: { listen: string } }).inbound.listen;
}
