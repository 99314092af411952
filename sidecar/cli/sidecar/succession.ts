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
import type { TakeoverAnswer } from '../../admin/view.js';
import type { RunningSidecar } from '../../app/sidecar.js';
import { writeAddress } from '../../config/codecs/address.js';
import type { SidecarConfig } from '../../config/model.js';
import type { Logger } from '../../runtime/log/logger.js';
import { inheriting, type ListenSockets, withoutSockets } from '../../runtime/process/listen-sockets.js';
import { systemTimers, type Timer } from '../../runtime/time/timers.js';
import { oneLine } from '../failure.js';
import type { EndRequests } from '../signals.js';
import { ownsModel } from './command-override.js';
import type { ParentChannel } from './parent-channel.js';

export interface TakeoverOptions {
  readonly sidecar: RunningSidecar;
  readonly sockets: ListenSockets;
  readonly link: ParentChannel | undefined;
  readonly ends: EndRequests;
  readonly logger: Logger;
  /** As the file has it. */
  readonly config: SidecarConfig;
}

/** Beside the time that a model takes to start. */
const READY_LIMIT_MS = 30_000;
const ANSWER_SLACK_MS = 5_000;
const READY_LOOK_MS = 25;

/** Why a sidecar cannot be followed by another while it runs: its models need an address each. Undefined: it can. */
export function takeoverObstacle(config: SidecarConfig): string | undefined {
  const { model, inbound } = config;
  if (!ownsModel(config)) return undefined;
  const again = 'end it and start it again';
  const local = inbound!.local;
  if (local.kind === 'tcp')
    return `its model listens at ${writeAddress(local)}, where a second one cannot: ${again}`;
  if (model!.command.some((part) => part.includes(local.path)))
    return `the command of its model says ${local.path} where {socket} could stand: ${again}`;
  return undefined;
}

/** A successor of this sidecar that is not ready by then has failed. */
export function readyLimitMs(config: SidecarConfig): number {
  return READY_LIMIT_MS + (ownsModel(config) ? config.model!.startTimeoutMs : 0);
}

/** `up` answers before that. */
export function answerLimitMs(config: SidecarConfig): number {
  return readyLimitMs(config) + ANSWER_SLACK_MS;
}

export class Takeover {
  private asked: Promise<TakeoverAnswer> | undefined;
  isHandedOver = false;
  private isEnding = false;

  constructor(private readonly options: TakeoverOptions) {
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
    const { link, ends, config } = this.options;
    this.isEnding = true;
    // The callers of a model have other replicas, and two models at once take the memory twice.
    if (link === undefined || this.isHandedOver || ownsModel(config)) return;
    const answer = link.ask({ event: 'ending' }, answerLimitMs(config));
    await Promise.race([answer, ends.second]);
  }

  private async askNow(): Promise<TakeoverAnswer> {
    const { link, logger, config } = this.options;
    const impediment = takeoverObstacle(config);
    if (impediment !== undefined) return { ok: false, why: impediment };
    if (link !== undefined) return link.ask({ event: 'takeover' }, answerLimitMs(config));
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
    const { sockets, config } = this.options;
    const { unknown } = sockets;
    if (unknown.length > 0) {
      const why = `this Node does not say the descriptors of ${unknown.join(', ')}`;
      return Promise.resolve({ ok: false, why });
    }
    const { env, fds } = inheriting(sockets.all(), {
      holdBack: true,
      generation: sockets.generation + 1,
      tells: true,
    });
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
      const limitMs = readyLimitMs(config);
      limit = systemTimers.after(limitMs, () =>
        fail(`the successor was not ready within ${limitMs / 1000} s`),
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
export function acceptWhenReady(sidecar: RunningSidecar, sockets: ListenSockets, then: () => void): void {
  if (!sockets.isSuccessor) return;
  const look = (): void => {
    if (sidecar.notReady().length > 0) {
      systemTimers.after(READY_LOOK_MS, look, { unref: true });
      return;
    }
    sidecar.accept();
    then();
    if (sockets.readyFd !== undefined) writeTo(sockets.readyFd);
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
