import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { present } from '../../config/present.js';
import { RestartBackoff } from '../../core/retry/backoff.js';
import type { IdentityParts } from '../../identity/identity.js';
import type { RuntimeDeps } from '../../runtime/deps.js';
import { inheriting, type Unreached, withoutSockets } from '../../runtime/process/inherited-sockets.js';
import { ChildProcessHandle, type OwnedProcessOptions } from '../../supervise/child-process.js';
import type { Guardian } from '../../supervise/guardian/guardian.js';
import { Supervisor } from '../../supervise/supervisor.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { liveProbe, monitorAnswers } from '../liveness.js';
import {
  IDENTITY_MARK,
  PARENT_MARK,
  type ParentMessage,
  RESTARTS_MARK,
  readEvents,
  type SidecarEvent,
  sendToSidecar,
} from '../sidecar/parent-channel.js';
import type { HeldSockets } from './listen-sockets.js';
import type { SidecarSpec } from './plan.js';

export interface SidecarProcessDeps extends RuntimeDeps {
  /** argv of this program. */
  readonly self: readonly string[];
  /** Environment of the sidecars. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** More variables, of one sidecar and of its models. Default: none. */
  envOf?(spec: SidecarSpec): Readonly<Record<string, string>>;
  /** The newest identity of a sidecar; undefined where Consul issues them. */
  identityOf(spec: SidecarSpec): IdentityParts | undefined;
  /** Listening sockets that outlive a sidecar; undefined: each sidecar binds its own. */
  readonly sockets: HeldSockets | undefined;
  /** Ends what is left of a sidecar. */
  readonly guardian?: Guardian;
  onProcess(process: SidecarProcess, report: ModelReport): void;
  onEvent(process: SidecarProcess, event: SidecarEvent): void;
  /** It has not answered for a while, or answers again. */
  onSilence(process: SidecarProcess, isSilent: boolean): void;
}

/** From the start of the process to its first answer at `/live`. */
export const START_TIMEOUT_MS = 20_000;
const RESTART = { baseMs: 100, maxMs: 5_000 };
/** Allowed beyond the drain, the model's stop and Consul before SIGKILL: closing and exiting. */
const STOP_SLACK_MS = 2_000;
const CONSUL_SLACK_MS = 5_000;

/** Log file of a sidecar and its models: `FOLDER/log`. */
export function logFileOf(spec: SidecarSpec): string {
  return join(spec.folder, 'log');
}

/**
 * One sidecar process of the mesh, restarted with backoff when it dies or hangs. Its standard
 * output carries events and its standard input takes messages (`sidecar/parent-channel.ts`). Its
 * log goes to a file: a stopped `up` (Ctrl-Z) reads no pipe, and would block the sidecar with a
 * full one.
 */
export class SidecarProcess {
  private readonly supervisor: Supervisor;
  private child: ChildProcessHandle | undefined;
  /** Whether the next start accepts nothing before it is ready; true once, for a successor. */
  private holdsBack: boolean;
  readonly generation: number;

  /**
   * The process is not started yet.
   *
   * @param place number of takeovers before it, plus 1; above 1: its first start accepts nothing until it is ready, but for upstreams
   * that its predecessor does not reach either.
   */
  constructor(
    public spec: SidecarSpec,
    private readonly deps: SidecarProcessDeps,
    private readonly place: { readonly generation: number; readonly unreached?: Unreached | undefined } = {
      generation: 1,
    },
  ) {
    const { clock, timers } = deps;
    this.generation = place.generation;
    this.holdsBack = place.generation > 1;
    const probe = liveProbe(spec.admin);
    const backoff = new RestartBackoff(RESTART, deps.random);
    const stopTimeoutMs = (): number => stopTimeoutOf(this.spec);
    const limits = {
      startTimeoutMs: START_TIMEOUT_MS,
      // A reload may have changed it.
      get stopTimeoutMs() {
        return stopTimeoutMs();
      },
    };
    this.supervisor = new Supervisor(limits, {
      ...{ clock, timers, probe },
      start: (onExit) => this.launch(onExit),
      monitor: (events) => {
        const onSilence = (isSilent: boolean): void => deps.onSilence(this, isSilent);
        return monitorAnswers({ probe, events, clock, timers, subject: 'its admin server', onSilence });
      },
      restartDelayMs: (readyForMs) => backoff.next(readyForMs),
      onChange: (report) => deps.onProcess(this, report),
    });
  }

  start(): void {
    this.supervisor.start();
  }

  report(): ModelReport {
    return this.supervisor.report();
  }

  stop(): Promise<void> {
    return this.supervisor.stop();
  }

  /**
   * For a process that was asked to end by a message: it is not started again. Resolves when it has
   * exited.
   */
  awaitExit(): Promise<void> {
    return this.supervisor.awaitExit();
  }

  kill(): void {
    this.supervisor.kill();
  }

  /** SIGHUP: it reads its file again, and says what came of it. */
  hangUp(): void {
    this.child?.signal('SIGHUP');
  }

  /** Sends one message; without effect while the process does not run. */
  send(message: ParentMessage): void {
    sendToSidecar(this.child?.input, message);
  }

  private launch(onExit: OwnedProcessOptions['onExit']): ChildProcessHandle {
    const { spec, deps } = this;
    const identity = deps.identityOf(spec);
    const { generation, holdsBack: holdBack } = this;
    const { unreached } = holdBack ? this.place : {};
    const handed = { holdBack, generation, ...present('unreached', unreached) };
    const sockets = inheriting(deps.sockets?.forSidecar(spec) ?? [], handed);
    this.holdsBack = false;
    const log = openSync(logFileOf(spec), 'a', 0o600);
    const child = new ChildProcessHandle([...deps.self, 'sidecar', '-c', spec.file], {
      env: {
        ...withoutSockets(deps.env),
        ...deps.envOf?.(spec),
        [PARENT_MARK]: '1',
        [RESTARTS_MARK]: String(this.report().restarts),
        ...(identity && { [IDENTITY_MARK]: '1' }),
        ...sockets.env,
      },
      inherit: sockets.fds,
      stdout: 'pipe',
      stderr: log,
      guardian: deps.guardian,
      onExit,
    });
    closeSync(log);
    this.child = child;
    if (identity !== undefined) this.send({ tell: 'identity', parts: identity });
    if (child.output !== undefined) readEvents(child.output, (event) => deps.onEvent(this, event));
    return child;
  }
}

/** From SIGTERM to SIGKILL, ms: its drain, the end of its model, and what it tells Consul. */
function stopTimeoutOf(spec: SidecarSpec): number {
  const { drainTimeoutMs, model } = spec.config;
  return drainTimeoutMs + (model?.stopTimeoutMs ?? 0) + leaveMs(spec) + STOP_SLACK_MS;
}

/**
 * Longest time for Consul, ms: the instance turns critical, the change propagates, the instance is
 * deregistered.
 */
function leaveMs({ config: { consul } }: SidecarSpec): number {
  return consul?.registration === undefined ? 0 : consul.registration.propagationMs + CONSUL_SLACK_MS;
}
