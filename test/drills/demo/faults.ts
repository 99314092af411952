/**
 * What goes wrong in the demonstration, in order, and what the mesh is seen to do about it. Each fault waits until
 * it has been repaired, within a limit; a promise that is not kept is a sentence in `broken`.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { SidecarFacts } from '../../kit/process/outrider.js';
import { isRunning } from '../../kit/process/processes.js';
import type { DemoMesh } from './mesh.js';

/** One thing that was done to the mesh, and what followed. */
export interface Happening {
  readonly atMs: number;
  readonly what: string;
  /** What the mesh did about it. */
  readonly outcome: string;
  /** The promise that was not kept. */
  readonly broken?: string;
}

/** What the faults of the demo work on. */
export interface Stage {
  readonly title: string;
  run(mesh: DemoMesh, atMs: number): Promise<Happening>;
}

/** A freeze lasts at least this long. */
const FREEZE_MS = 5_500;
const REPAIR_LIMIT_MS = 15_000;
const POLL_MS = 25;

export const STAGES: readonly Stage[] = [
  { title: 'killing a model', run: killModel },
  { title: 'freezing a model', run: freezeModel },
  { title: 'freezing a sidecar', run: freezeSidecar },
];

async function killModel(mesh: DemoMesh, atMs: number): Promise<Happening> {
  const replica = mesh.replica(1);
  const { pid } = await mesh.model(replica);
  process.kill(pid!, 'SIGKILL');
  const tookMs = await untilReplaced(mesh, replica, pid!);
  const what = `SIGKILL to the model of ${replica.name} (process ${pid})`;
  if (tookMs === undefined)
    return unrepaired(atMs, what, `${replica.name} did not start its killed model again`);
  return { atMs, what, outcome: `started again, ready after ${seconds(tookMs)}` };
}

async function freezeModel(mesh: DemoMesh, atMs: number): Promise<Happening> {
  const replica = mesh.replica(2);
  const { pid } = await mesh.model(replica);
  process.kill(pid!, 'SIGSTOP');
  const frozenMs = performance.now();
  const goneMs = await measure(() => !isRunning(pid!));
  const tookMs = await untilReplaced(mesh, replica, pid!);
  const readyMs = performance.now() - frozenMs;
  await delay(Math.max(0, FREEZE_MS - readyMs)); // a freeze of the promised length, whatever became of it
  if (isRunning(pid!)) process.kill(pid!, 'SIGCONT');
  const what = `SIGSTOP to the model of ${replica.name} (process ${pid})`;
  if (goneMs === undefined || tookMs === undefined) {
    return unrepaired(atMs, what, `${replica.name} did not replace its frozen model`);
  }
  return { atMs, what, outcome: `killed after ${seconds(goneMs)}, another ready after ${seconds(readyMs)}` };
}

async function freezeSidecar(mesh: DemoMesh, atMs: number): Promise<Happening> {
  const replica = mesh.replica(3);
  const before = await mesh.endpoint(replica);
  process.kill(replica.pid, 'SIGSTOP');
  await delay(FREEZE_MS);
  process.kill(replica.pid, 'SIGCONT');
  const after = await mesh.endpoint(replica);
  const served = after.attempts - after.faults;
  const backMs = await measure(async () => {
    const now = await mesh.endpoint(replica);
    return now.state === 'eligible' && now.attempts - now.faults > served;
  });
  const what = `SIGSTOP to the sidecar of ${replica.name} (process ${replica.pid}) for ${seconds(FREEZE_MS)}`;
  if (backMs === undefined)
    return unrepaired(atMs, what, `${replica.name} got no traffic after its sidecar woke`);
  const tried = after.attempts - before.attempts;
  return {
    atMs,
    what,
    outcome: `${tried} attempts in vain, repeated elsewhere; serving ${seconds(backMs)} after SIGCONT`,
  };
}

/** Time until another process serves in the place of `pid`; undefined when none does. */
function untilReplaced(mesh: DemoMesh, replica: SidecarFacts, pid: number): Promise<number | undefined> {
  return measure(async () => {
    const model = await mesh.model(replica);
    return model.state === 'ready' && model.pid !== pid;
  });
}

async function measure(
  happened: () => boolean | Promise<boolean>,
  limitMs = REPAIR_LIMIT_MS,
): Promise<number | undefined> {
  const fromMs = performance.now();
  while (!(await happened())) {
    if (performance.now() - fromMs > limitMs) return undefined;
    await delay(POLL_MS);
  }
  return performance.now() - fromMs;
}

function unrepaired(atMs: number, what: string, broken: string): Happening {
  return { atMs, what, outcome: broken, broken };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
