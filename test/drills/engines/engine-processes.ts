/** The processes of one engine under a sidecar, and what befalls them. */
import { readFileSync } from 'node:fs';
import { admin, reportOf, type SidecarFacts } from '../../kit/process/outrider.js';
import { childrenOf, isRunning, until } from '../../kit/process/processes.js';

export const FAULTS = ['front-killed', 'core-killed', 'front-stopped', 'core-frozen'] as const;
export type Fault = (typeof FAULTS)[number];

const START_LIMIT_MS = 400_000;

/** A fault that is ready to strike an engine. */
export interface Aim {
  /** The process that the sidecar has started. */
  readonly front: number;
  strike(): void;
}

export class EngineProcesses {
  constructor(
    readonly sidecar: SidecarFacts,
    private readonly isReal: boolean,
  ) {}

  /** The process that the sidecar has started. */
  async front(): Promise<number> {
    const { model } = await reportOf(this.sidecar.admin);
    return model!.pid!;
  }

  /** Of vLLM: the process that makes the tokens. A fake engine has its core inside. */
  private async core(): Promise<number> {
    const front = await this.front();
    const found = childrenOf(front).find((pid) => titleOf(pid).includes('EngineCore'));
    if (found === undefined) throw new Error(`process ${front} has no EngineCore`);
    return found;
  }

  /** Finds the processes before, so that the fault strikes at once. */
  async aim(fault: Fault): Promise<Aim> {
    const front = await this.front();
    const core = this.isReal ? await this.core() : front;
    const [pid, signal] = {
      'front-killed': [front, 'SIGKILL'],
      'core-killed': [core, this.isReal ? 'SIGKILL' : 'SIGUSR2'],
      'front-stopped': [front, 'SIGSTOP'],
      // Health goes on as before.
      'core-frozen': [core, this.isReal ? 'SIGSTOP' : 'SIGUSR1'],
    }[fault] as [number, NodeJS.Signals];
    return { front, strike: () => void process.kill(pid, signal) };
  }

  /** Another process serves than `before`. */
  async restarted(before: number): Promise<void> {
    await until(
      `${this.sidecar.name} serves again`,
      async () => {
        const { model } = await reportOf(this.sidecar.admin);
        return model!.state === 'ready' && model!.pid !== before && (await isServing(this.sidecar));
      },
      START_LIMIT_MS,
    );
  }

  /** Ends a frozen engine, if its sidecar has not. */
  async end(pid: number): Promise<void> {
    const { model } = await reportOf(this.sidecar.admin);
    if (model!.pid === pid && isRunning(pid)) process.kill(pid, 'SIGKILL');
  }
}

async function isServing({ admin: address }: SidecarFacts): Promise<boolean> {
  return (await admin(address, '/ready').catch(() => undefined))?.status === 200;
}

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
