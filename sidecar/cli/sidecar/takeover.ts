import { type ChildProcess, spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { TakeoverAnswer } from '../../admin/view.js';
import type { RunningSidecar } from '../../app/running-sidecar.js';
import { writeAddress } from '../../config/codecs/address.js';
import type { SidecarConfig } from '../../config/model.js';
import { attempt } from '../../runtime/attempt.js';
import type { Logger } from '../../runtime/log/logger.js';
import { inheriting, withoutSockets } from '../../runtime/process/inherited-sockets.js';
import type { ListenSockets } from '../../runtime/process/listen-sockets.js';
import { systemTimers, type Timer } from '../../runtime/time/timers.js';
import { oneLine } from '../failure.js';
import type { EndRequests } from '../signals.js';
import { ownsModel } from './command-override.js';
import type { ParentChannel } from './parent-channel.js';

export interface TakeoverOptions {
  readonly sidecar: RunningSidecar;
  readonly sockets: ListenSockets;
  readonly parent: ParentChannel | undefined;
  readonly ends: EndRequests;
  readonly logger: Logger;
  /** What this process was started with, without `ofGeneration`. */
  readonly config: SidecarConfig;
  /** The file as it is now, which a successor reads; undefined: it is invalid, and a successor ends itself. */
  readonly fileNow: () => SidecarConfig | undefined;
}

/** For a successor to become ready, beside the start timeout of its model. */
const READY_LIMIT_MS = 30_000;
/** Allowed for the answer of `up` beyond the successor's own limit. */
const ANSWER_SLACK_MS = 5_000;
const READY_POLL_MS = 25;

/**
 * Why a successor cannot run beside this sidecar: both start models, which need an address each.
 * Undefined: it can.
 */
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

/** Limit for a successor to become ready, ms; beyond it the takeover has failed. */
export function readyLimitMs(config: SidecarConfig): number {
  return READY_LIMIT_MS + (ownsModel(config) ? config.model!.startTimeoutMs : 0);
}

/** Limit for the answer of `up` to `takeover` and `ending`, ms. */
export function answerLimitMs(config: SidecarConfig): number {
  return readyLimitMs(config) + ANSWER_SLACK_MS;
}

/**
 * Replaces a running sidecar by a new process without a moment in which connections are refused:
 * the successor inherits the listening sockets, begins to accept once it is ready, and only then
 * this process drains and ends (Envoy calls this hot restart).
 *
 * Under `up`, which holds the sockets, `up` starts the successor. Elsewhere this process starts it,
 * in a process group of its own, with its own command line.
 */
export class Takeover {
  private pending: Promise<TakeoverAnswer> | undefined;
  isHandedOver = false;
  private isEnding = false;
  /** It has been started here, and has not taken over yet. */
  private successor: ChildProcess | undefined;

  constructor(private readonly options: TakeoverOptions) {
    const { parent, sidecar } = options;
    if (parent !== undefined) parent.onHandOver = () => this.handOver();
    sidecar.setTakeover(() => this.request());
  }

  /**
   * Starts a successor. Resolves when it accepts, and this process begins to drain; or with the
   * reason why it does not. While one is on its way, further requests get the same answer. Never rejects.
   */
  request(): Promise<TakeoverAnswer> {
    this.pending ??= this.requestNow()
      // A process that the system refuses to start is an exception, such as for want of memory.
      .catch((error: unknown): TakeoverAnswer => ({ ok: false, why: `no successor: ${oneLine(error)}` }))
      .then((answer) => {
        if (!answer.ok) this.pending = undefined;
        return answer;
      });
    return this.pending;
  }

  /**
   * To be awaited before the drain that a signal began. `up` may still want this sidecar, and then
   * starts a successor first. Resolves when the drain shall begin, at the second signal at the
   * latest.
   */
  async beforeDrain(): Promise<void> {
    const { parent, ends, config } = this.options;
    this.isEnding = true;
    // A successor that this process has started does not outlive it unless it has taken over.
    this.successor?.kill('SIGTERM');
    // A sidecar with models ends without a successor: two sets of models would take the memory twice.
    if (parent === undefined || this.isHandedOver || ownsModel(config)) return;
    const answer = parent.ask({ event: 'ending' }, answerLimitMs(this.configOfNext()));
    await Promise.race([answer, ends.second]);
  }

  /** A change of `start_timeout` needs a restart: the successor that applies it may take as long as it says. */
  private configOfNext(): SidecarConfig {
    const { config, fileNow } = this.options;
    return fileNow() ?? config;
  }

  private async requestNow(): Promise<TakeoverAnswer> {
    const { parent, logger, config } = this.options;
    const obstacle = this.isEnding ? 'this sidecar is ending' : takeoverObstacle(config);
    if (obstacle !== undefined) return { ok: false, why: obstacle };
    if (parent !== undefined) return parent.ask({ event: 'takeover' }, answerLimitMs(this.configOfNext()));
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
    // The answer of POST /takeover is written first.
    if (!this.isEnding) setImmediate(() => this.options.ends.ask('taken over'));
  }

  private startSuccessor(): Promise<TakeoverAnswer> {
    const { sidecar, sockets } = this.options;
    const { unknown } = sockets;
    if (unknown.length > 0) {
      const why = `this Node does not say the descriptors of ${unknown.join(', ')}`;
      return Promise.resolve({ ok: false, why });
    }
    const { unreached } = sidecar;
    const next = { holdBack: true, generation: sockets.generation + 1, unreached, tells: true } as const;
    const { env, fds } = inheriting(sockets.all(), next);
    const [program, ...args] = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
    const child = spawn(program!, args, {
      detached: true,
      env: { ...withoutSockets(process.env), ...env },
      stdio: ['inherit', 'inherit', 'inherit', ...fds, 'pipe'],
    });
    this.successor = child;
    return new Promise((resolve) => {
      let limit: Timer | undefined;
      const settle = (answer: TakeoverAnswer): void => {
        this.successor = undefined;
        limit?.cancel();
        child.removeAllListeners();
        child.unref();
        resolve(answer);
      };
      const fail = (why: string): void => {
        child.kill('SIGKILL');
        settle({ ok: false, why });
      };
      const limitMs = readyLimitMs(this.configOfNext());
      const tooLate = `the successor was not ready within ${limitMs / 1000} s`;
      const endedWith = (how: unknown): string => `the successor ended with ${how}; its log says why`;
      limit = systemTimers.after(limitMs, () => fail(tooLate));
      child.once('error', (error) => fail(`the successor could not be started: ${oneLine(error)}`));
      child.once('exit', (code, signal) => fail(endedWith(code ?? signal)));
      // There is none where descriptors have run out: `error` follows.
      const told = child.stdio?.at(-1) as Readable | undefined;
      told?.on('error', () => {});
      told?.once('data', () => settle({ ok: true, pid: child.pid! }));
    });
  }
}

/**
 * In a successor: waits until it is ready, lets it accept, and calls `then`. In any other process:
 * does nothing.
 */
export function acceptWhenReady(sidecar: RunningSidecar, sockets: ListenSockets, then: () => void): void {
  if (!sockets.isSuccessor) return;
  const poll = (): void => {
    if (sidecar.view.notReady().length > 0) {
      systemTimers.after(READY_POLL_MS, poll, { unref: true });
      return;
    }
    sidecar.accept();
    then();
    const { readyFd } = sockets;
    // The predecessor may have exited already.
    if (readyFd !== undefined) attempt(() => writeSync(readyFd, '{"event":"accepting"}\n'), 0);
  };
  poll();
}
