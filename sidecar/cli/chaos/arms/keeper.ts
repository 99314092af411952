/**
 * Keeps model processes running for arms that have no sidecar to do it: a process that ends is started again, with the waits of
 * a container's restart policy (100 ms, doubled with each death up to 2 s, anew after 10 s of health).
 */

import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { RestartBackoff } from '../../../core/retry/backoff.js';
import { systemRandom } from '../../../runtime/random.js';
import { systemClock } from '../../../runtime/time/clock.js';
import { ChildProcessHandle } from '../../../supervise/child-process.js';
import { CommandFailure } from '../../failure.js';
import { commandOf } from '../../self.js';
import { PortAllocator } from '../../up/port-allocator.js';
import { type ArmWorld, REPLICAS } from './arm.js';

/** argv of a model process; `replica` and `address` may be placeholders of a mesh file. @param dir folder of the run. */
export function modelArgv(
  self: readonly string[],
  dir: string,
  { replica, address }: { readonly replica: string; readonly address: string },
): readonly string[] {
  return commandOf(self, ['chaos-model', '--dir', dir, '--replica', replica, '--listen', address]);
}

/** The same waits as in the mesh of the other arm. */
export const RESTART = { baseMs: 100, maxMs: 2_000 } as const;
/** Loading the runtime takes a second on a busy machine; what takes twenty will not come. */
const READY_LIMIT_MS = 20_000;
const READY_POLL_MS = 20;

/** One replica: its address stays, its process changes. */
interface Kept {
  readonly replica: number;
  readonly address: string;
  readonly backoff: RestartBackoff;
  child: ChildProcessHandle | undefined;
  timer: NodeJS.Timeout | undefined;
}

export class Keeper {
  private readonly kept: Kept[] = [];
  private isStopping = false;

  private constructor(private readonly world: ArmWorld) {}

  /** Resolves when every model serves. */
  static async start(world: ArmWorld): Promise<Keeper> {
    const keeper = new Keeper(world);
    for (const replica of REPLICAS) {
      const backoff = new RestartBackoff(RESTART, systemRandom);
      const address = `127.0.0.1:${await freePort()}`;
      keeper.kept.push({ replica, address, backoff, child: undefined, timer: undefined });
    }
    for (const each of keeper.kept) keeper.launch(each);
    try {
      await untilServing(world);
    } catch (error) {
      keeper.kill();
      throw error;
    }
    return keeper;
  }

  /** `host:port` of each replica, in their order. */
  get addresses(): readonly string[] {
    return this.kept.map(({ address }) => address);
  }

  /** Starts none again, and ends what runs. */
  kill(): void {
    this.isStopping = true;
    for (const { child, timer } of this.kept) {
      clearTimeout(timer);
      child?.signal('SIGKILL');
    }
  }

  private launch(kept: Kept): void {
    const { dir, self, tools } = this.world;
    const startedMs = systemClock.now();
    const log = openSync(join(dir, `output-${kept.replica}.txt`), 'a', 0o600);
    kept.child = new ChildProcessHandle(
      modelArgv(self, dir, { replica: String(kept.replica), address: kept.address }),
      {
        env: { ...process.env, ...tools.envOf(kept.replica) },
        stdout: log,
        stderr: log,
        // In whatever way it ended: a restart policy `always`, as a container platform has it.
        onExit: () => {
          if (this.isStopping) return;
          const waitMs = kept.backoff.next(systemClock.now() - startedMs);
          kept.timer = setTimeout(() => this.launch(kept), waitMs);
        },
      },
    );
    closeSync(log);
  }
}

/** Resolves when the model of every replica serves; rejects after 20 s. */
export async function untilServing({ control }: Pick<ArmWorld, 'control'>): Promise<void> {
  const endMs = systemClock.now() + READY_LIMIT_MS;
  while (control.ready.length < REPLICAS.length) {
    if (systemClock.now() > endMs)
      throw new CommandFailure(`the models are not ready within ${READY_LIMIT_MS / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

/** Reserves them until this process ends. */
const freePorts = new PortAllocator();

/** A port of loopback that is free, and that no other mesh on this machine takes. */
export async function freePort(): Promise<number> {
  const port = await freePorts.find('127.0.0.1');
  await freePorts.release();
  return port;
}
