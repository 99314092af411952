/**
 * How a running sidecar is followed by another process without a moment in which nothing accepts: the successor gets the
 * listening sockets, begins to accept once it is ready, and only then the predecessor drains and ends.
 *
 * Under `up`, that starts the successor, because it holds the sockets. Elsewhere the running process starts it itself, in
 * a process group of its own, by the command line it was started by.
 */

import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { TakeoverAnswer } from '../admin/view.js';
import type { Sidecar } from '../app.js';
import type { SidecarConfig } from '../config/model.js';
import { inheriting, type ListenSockets, withoutSockets } from '../runtime/listen-sockets.js';
import type { Logger } from '../runtime/logger.js';
import { systemTimers, type Timer } from '../runtime/timers.js';
import { oneLine } from './failure.js';
import type { ParentLink } from './parent-link.js';
import type { EndRequests } from './signals.js';

export interface SuccessionOptions {
  readonly sidecar: Sidecar;
  readonly sockets: ListenSockets;
  readonly link: ParentLink | undefined;
  readonly ends: EndRequests;
  readonly logger: Logger;
  /** Why this sidecar cannot be followed by another while it runs; undefined: it can. */
  readonly impediment: string | undefined;
}

/** A successor that is not ready by then has failed. */
export const READY_LIMIT_MS = 30_000;
/** How long an end that was not asked for by `up` waits for what `up` decides. */
export const PARENT_LIMIT_MS = READY_LIMIT_MS + 5_000;
const READY_LOOK_MS = 25;

/** Why this sidecar cannot be followed by another while it runs: two models cannot listen at one address. Undefined: it can. */
export function takeoverImpediment({ model, inbound }: SidecarConfig): string | undefined {
  if (inbound === undefined || model === undefined || model.command.length === 0) return undefined;
  return 'this sidecar has a model process of its own, and a successor would need another: end it and start it again';
}

export class Succession {
  private asked: Promise<TakeoverAnswer> | undefined;
  private isHandedOver = false;
  private isEnding = false;

  constructor(private readonly options: SuccessionOptions) {
    const { link, sidecar } = options;
    if (link !== undefined) link.onHandOver = () => this.handOver();
    sidecar.setTakeover(() => this.ask());
  }

  /** Resolves when the successor accepts, which is when this process begins to drain; or with why it does not. */
  ask(): Promise<TakeoverAnswer> {
    this.asked ??= this.askNow().then((answer) => {
      if (!answer.ok) this.asked = undefined;
      return answer;
    });
    return this.asked;
  }

  /**
   * Before the drain that a signal asked for: `up` may have another reason to go on, and then starts the successor
   * first. Resolves when the drain shall begin, at the second signal too.
   */
  async beforeDrain(): Promise<void> {
    const { link, ends, impediment } = this.options;
    this.isEnding = true;
    if (link === undefined || this.isHandedOver || impediment !== undefined) return;
    const answer = link.ask({ event: 'ending' }, PARENT_LIMIT_MS);
    await Promise.race([answer, ends.second]);
  }

  private async askNow(): Promise<TakeoverAnswer> {
    const { link, logger, impediment } = this.options;
    if (impediment !== undefined) return { ok: false, why: impediment };
    if (link !== undefined) return link.ask({ event: 'takeover' }, PARENT_LIMIT_MS);
    const answer = await this.startSuccessor();
    if (answer.ok) {
      logger.info({ successor: answer.pid }, 'the successor accepts');
      this.handOver();
    } else logger.error({ problem: answer.why }, 'no takeover; this process goes on');
    return answer;
  }

  private handOver(): void {
    if (this.isHandedOver) return;
    this.isHandedOver = true;
    this.options.sidecar.handOver();
    // The admin server answers first.
    if (!this.isEnding) setImmediate(() => this.options.ends.ask('taken over'));
  }

  private startSuccessor(): Promise<TakeoverAnswer> {
    const { sockets } = this.options;
    const { unknown } = sockets;
    if (unknown.length > 0) {
      const why = `this Node does not say the descriptors of ${unknown.join(', ')}`;
      return Promise.resolve({ ok: false, why });
    }
    const { env, fds } = inheriting(sockets.all(), { holdBack: true, tells: true });
    const [program, ...args] = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
    const child = spawn(program!, args, {
      detached: true,
      env: { ...withoutSockets(process.env), ...env },
      stdio: ['inherit', 'inherit', 'inherit', ...fds, 'pipe'],
    });
    return new Promise((resolve) => {
      let limit: Timer | undefined;
      const settle = (answer: TakeoverAnswer): void => {
        limit?.cancel();
        child.removeAllListeners();
        child.unref();
        resolve(answer);
      };
      const fail = (why: string): void => {
        child.kill('SIGKILL');
        settle({ ok: false, why });
      };
      limit = systemTimers.after(READY_LIMIT_MS, () =>
        fail(`the successor was not ready within ${READY_LIMIT_MS / 1000} s`),
      );
      child.once('error', (error) => fail(`the successor could not be started: ${oneLine(error)}`));
      child.once('exit', (code, signal) =>
        fail(`the successor ended with ${code ?? signal}; its log says why`),
      );
      const told = child.stdio.at(-1) as Readable;
      told.on('error', () => {});
      told.once('data', () => settle({ ok: true, pid: child.pid! }));
    });
  }
}

/** A successor begins to accept once it is ready: `then` follows. Does nothing in a process that accepts already. */
export function acceptWhenReady(sidecar: Sidecar, sockets: ListenSockets, then: () => void): void {
  if (!sockets.isSuccessor) return;
  const look = (): void => {
    if (sidecar.notReady().length > 0) {
      systemTimers.after(READY_LOOK_MS, look, { unref: true });
      return;
    }
    sidecar.accept();
    then();
    if (sockets.tell !== undefined) writeTo(sockets.tell);
  };
  look();
}

function writeTo(fd: number): void {
  try {
    writeSync(fd, '{"event":"accepting"}\n');
  } catch {
    // the predecessor is gone: nothing is left to be told
  }
}
