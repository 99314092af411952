/**
 * Arms that are started, used for several drills, and ended: one at a time, and none is left behind. An arm that has not become well
 * again after a drill is ended and started anew, so that no drill pays for the one before it.
 */

import { rmSync } from 'node:fs';
import { systemClock } from '../../../runtime/time/clock.js';
import { RunDirectory } from '../../up/run-directory.js';
import type { Arm, ArmWorld, Standing } from '../arms/arm.js';
import { REPLICAS, VICTIM } from '../arms/arm.js';
import { ControlServer } from '../control-server.js';
import { openTools, type Tools } from '../faults/tools.js';
import { CONTROL_SOCKET, WELL } from '../protocol/behaviour.js';

const SETTLE_LIMIT_MS = 6_000;
const SETTLE_POLL_MS = 50;

export interface Session {
  readonly arm: Arm;
  readonly standing: Standing;
  readonly control: ControlServer;
  readonly tools: Tools;
  readonly dir: string;
  /** Resolves when it has ended and its folder is gone. */
  close(): Promise<void>;
  kill(): void;
}

export async function openSession(
  arm: Arm,
  { path, equipment, self }: Pick<ArmWorld, 'path' | 'equipment' | 'self'>,
): Promise<Session> {
  // As that of `up`: the next command removes it where this one was killed.
  const run = RunDirectory.create(undefined);
  const dir = run.path;
  const remove = () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  const control = await openControl(run).catch((error: Error) => {
    remove();
    throw error;
  });
  let tools: Tools | undefined;
  try {
    const opened = openTools(equipment, { dir, victim: VICTIM });
    tools = opened;
    const standing = await arm.start({ dir, control, path, equipment, tools, self });
    return {
      ...{ arm, standing, control, tools, dir },
      close: async () => {
        // A frozen model would hold up what waits for it.
        for (const replica of REPLICAS) control.signal(replica, 'SIGCONT');
        await standing.stop();
        control.close();
        opened.close();
        remove();
      },
      kill: () => {
        standing.kill();
        control.close();
        opened.close();
        remove();
      },
    };
  } catch (error) {
    control.close();
    tools?.close();
    remove();
    throw error;
  }
}

/** @throws CommandFailure where the path of the folder is too long for a socket in it. */
async function openControl(run: RunDirectory): Promise<ControlServer> {
  run.socket(run.path, CONTROL_SOCKET);
  return ControlServer.open(run.path);
}

/**
 * Makes every model well, and waits until all serve and take calls. False: that did not happen within 6 s, and the arm has to
 * be started anew.
 */
export async function settle({ control, standing }: Session): Promise<boolean> {
  for (const replica of REPLICAS) {
    control.signal(replica, 'SIGCONT');
    await control.behave(replica, WELL);
  }
  for (const wire of standing.wires) wire.set({ kind: 'none' });
  const endMs = systemClock.now() + SETTLE_LIMIT_MS;
  while (!(await isSettled(control, standing))) {
    if (systemClock.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS));
  }
  return true;
}

/** Whether every model serves, and the caller's side sends calls to each of them. */
async function isSettled(control: ControlServer, { endpoints }: Standing): Promise<boolean> {
  if (control.ready.length < REPLICAS.length) return false;
  if (endpoints === undefined) return true;
  const views = await endpoints().catch(() => []);
  return views.length === REPLICAS.length && views.every(({ isReady }) => isReady);
}
