/**
 * What goes wrong in the demonstration, in order, and what the mesh is seen to do about it. Each fault waits until
 * it has been repaired, within a limit; a promise that is not kept is a sentence in `broken`.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { EndpointReport, ModelReport } from '../../../sidecar/telemetry/reports.js';
import { reportOf, type SidecarFacts, type UpFacts } from '../../kit/process/outrider.js';
import { isRunning } from '../../kit/process/processes.js';
import { measure } from '../faults/times.js';

export interface Happening {
  readonly what: string;
  readonly outcome: string;
  readonly broken?: string;
}

export interface Stage {
  readonly title: string;
  run(mesh: UpFacts): Promise<Happening>;
}

/** A freeze lasts at least this long. */
const FREEZE_MS = 5_500;
const REPAIR_LIMIT_MS = 15_000;

export const STAGES: readonly Stage[] = [
  { title: 'killing a model', run: killModel },
  { title: 'freezing a model', run: freezeModel },
  { title: 'freezing a sidecar', run: freezeSidecar },
];

/** Replica `number` of the digits, from 1. */
function replicaOf({ sidecars }: UpFacts, number: number): SidecarFacts {
  return sidecars.find((sidecar) => sidecar.name === `digits-${number}`)!;
}

async function modelOf(replica: SidecarFacts): Promise<ModelReport> {
  return (await reportOf(replica.admin)).model!;
}

/** What the caller's sidecar thinks of a replica. */
async function endpointOf(mesh: UpFacts, replica: SidecarFacts): Promise<EndpointReport> {
  const { endpoints } = await reportOf(mesh.admin);
  return endpoints.find(({ endpoint }) => endpoint === replica.name)!;
}

async function killModel(mesh: UpFacts): Promise<Happening> {
  const replica = replicaOf(mesh, 1);
  const { pid } = await modelOf(replica);
  process.kill(pid!, 'SIGKILL');
  const tookMs = await untilReplaced(replica, pid!);
  const what = `SIGKILL to the model of ${replica.name} (process ${pid})`;
  if (tookMs === undefined) return unrepaired(what, `${replica.name} did not start its killed model again`);
  return { what, outcome: `started again, ready after ${seconds(tookMs)}` };
}

async function freezeModel(mesh: UpFacts): Promise<Happening> {
  const replica = replicaOf(mesh, 2);
  const { pid } = await modelOf(replica);
  process.kill(pid!, 'SIGSTOP');
  const frozenMs = performance.now();
  const goneMs = await measure(() => !isRunning(pid!), REPAIR_LIMIT_MS);
  const tookMs = await untilReplaced(replica, pid!);
  const readyMs = performance.now() - frozenMs;
  await delay(Math.max(0, FREEZE_MS - readyMs)); // a freeze of the promised length, whatever became of it
  if (isRunning(pid!)) process.kill(pid!, 'SIGCONT');
  const what = `SIGSTOP to the model of ${replica.name} (process ${pid})`;
  if (goneMs === undefined || tookMs === undefined)
    return unrepaired(what, `${replica.name} did not replace its frozen model`);
  return { what, outcome: `killed after ${seconds(goneMs)}, another ready after ${seconds(readyMs)}` };
}

async function freezeSidecar(mesh: UpFacts): Promise<Happening> {
  const replica = replicaOf(mesh, 3);
  const before = await endpointOf(mesh, replica);
  process.kill(replica.pid, 'SIGSTOP');
  await delay(FREEZE_MS);
  process.kill(replica.pid, 'SIGCONT');
  const after = await endpointOf(mesh, replica);
  const served = after.attempts - after.faults;
  const isBack = async () => {
    const now = await endpointOf(mesh, replica);
    return now.state === 'eligible' && now.attempts - now.faults > served;
  };
  const backMs = await measure(isBack, REPAIR_LIMIT_MS);
  const what = `SIGSTOP to the sidecar of ${replica.name} (process ${replica.pid}) for ${seconds(FREEZE_MS)}`;
  if (backMs === undefined) return unrepaired(what, `${replica.name} got no traffic after its sidecar woke`);
  const tried = after.attempts - before.attempts;
  const outcome = `${tried} attempts in vain, repeated elsewhere; serving ${seconds(backMs)} after SIGCONT`;
  return { what, outcome };
}

/** Time until another process serves in the place of `pid`; undefined when none does. */
function untilReplaced(replica: SidecarFacts, pid: number): Promise<number | undefined> {
  const isReplaced = async () => {
    const model = await modelOf(replica);
    return model.state === 'ready' && model.pid !== pid;
  };
  return measure(isReplaced, REPAIR_LIMIT_MS);
}

function unrepaired(what: string, broken: string): Happening {
  return { what, outcome: broken, broken };
}

/** A time as text, such as `0.3 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
