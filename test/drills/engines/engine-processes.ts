/** The processes of one engine under a sidecar, and what befalls them. */
import { readFileSync } from 'node:fs';
import { admin, reportOf, type SidecarFacts } from '../../kit/process/outrider.js';
import { childrenOf, isRunning, until } from '../../kit/process/processes.js';

const START_LIMIT_MS = 400_000;

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
  async core(): Promise<number> {
    const front = await this.front();
    const found = childrenOf(front).find((pid) => titleOf(pid).includes('EngineCore'));
    if (found === undefined) throw new Error(`process ${front} has no EngineCore`);
    return found;
  }

  async killFront(): Promise<void> {
    process.kill(await this.front(), 'SIGKILL');
  }

  async killCore(): Promise<void> {
    if (this.isReal) process.kill(await this.core(), 'SIGKILL');
    else process.kill(await this.front(), 'SIGUSR2');
  }

  async stopFront(): Promise<void> {
    process.kill(await this.front(), 'SIGSTOP');
  }

  /** Health goes on as before. */
  async freezeCore(): Promise<void> {
    if (this.isReal) process.kill(await this.core(), 'SIGSTOP');
    else process.kill(await this.front(), 'SIGUSR1');
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
