/**
 * One sidecar process of the mesh: started by `up`, started again when it dies or hangs, and heard.
 *
 * Its standard output brings events and its standard input takes messages (parent-link.ts); its log goes to a file, so
 * that a stopped `up` never holds up a sidecar. What to make of the events is the fleet's business.
 */

import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { RestartBackoff } from '../../core/retry/backoff.js';
import type { IdentityParts } from '../../identity/sources/identity-source.js';
import { inheriting, withoutSockets } from '../../runtime/process/listen-sockets.js';
import type { Random } from '../../runtime/random.js';
import type { Clock } from '../../runtime/time/clock.js';
import type { Timers } from '../../runtime/time/timers.js';
import { ChildProcessHandle, type OwnedProcessOptions } from '../../supervise/child-process.js';
import { Supervisor } from '../../supervise/supervisor.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { liveProbe, monitorSidecar } from '../liveness.js';
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

export interface SidecarProcessDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly self: readonly string[];
  /** What sidecars find in their environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The newest identity of a spec; undefined where sidecars get theirs elsewhere. */
  identityOf(spec: SidecarSpec): IdentityParts | undefined;
  /** Undefined: sidecars make their own. */
  readonly sockets: HeldSockets | undefined;
  onProcess(process: SidecarProcess, report: ModelReport): void;
  onEvent(process: SidecarProcess, event: SidecarEvent): void;
}

const START_TIMEOUT_MS = 20_000;
const RESTART = { baseMs: 100, maxMs: 5_000 };
/** Beyond the drain itself: stopping the model, closing, exiting. */
const STOP_SLACK_MS = 2_000;
const CONSUL_SLACK_MS = 5_000;

/** Where a sidecar and its model write their log. */
export function logFileOf(spec: SidecarSpec): string {
  return join(spec.folder, 'log');
}

export class SidecarProcess {
  private readonly supervisor: Supervisor;
  private child: ChildProcessHandle | undefined;
  private holdsBack: boolean;

  /** Not started yet. `generation`: above 1 for a successor, which accepts nothing, the first time, before it is ready. */
  constructor(
    public spec: SidecarSpec,
    private readonly deps: SidecarProcessDeps,
    readonly generation = 1,
  ) {
    const { clock, timers } = deps;
    this.holdsBack = generation > 1;
    const probe = liveProbe({ kind: 'tcp', ...spec.admin });
    const backoff = new RestartBackoff(RESTART, deps.random);
    const stopModelMs = spec.config.model?.stopTimeoutMs ?? 0;
    this.supervisor = new Supervisor(
      {
        startTimeoutMs: START_TIMEOUT_MS,
        stopTimeoutMs: spec.config.drainTimeoutMs + stopModelMs + leaveMs(spec) + STOP_SLACK_MS,
      },
      {
        clock,
        timers,
        probe,
        start: (onExit) => this.launch(onExit),
        monitor: (events) => monitorSidecar(probe, events, clock, timers),
        restartDelayMs: (readyForMs) => backoff.next(readyForMs),
        onChange: (report) => deps.onProcess(this, report),
      },
    );
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

  /** Has been told to end: it is not started again. Resolves when it is gone. */
  awaitExit(): Promise<void> {
    return this.supervisor.awaitExit();
  }

  kill(): void {
    this.supervisor.kill();
  }

  /** Without effect while it does not run. */
  send(message: ParentMessage): void {
    sendToSidecar(this.child?.input, message);
  }

  private launch(onExit: OwnedProcessOptions['onExit']): ChildProcessHandle {
    const { spec, deps } = this;
    const identity = deps.identityOf(spec);
    const sockets = inheriting(deps.sockets?.forSidecar(spec) ?? [], {
      holdBack: this.holdsBack,
      generation: this.generation,
    });
    this.holdsBack = false;
    const log = openSync(logFileOf(spec), 'a', 0o600);
    const child = new ChildProcessHandle([...deps.self, 'sidecar', '-c', spec.file], {
      env: {
        ...withoutSockets(deps.env),
        [PARENT_MARK]: '1',
        [RESTARTS_MARK]: String(this.report().restarts),
        ...(identity && { [IDENTITY_MARK]: '1' }),
        ...sockets.env,
      },
      inherit: sockets.fds,
      stdout: 'pipe',
      stderr: log,
      onExit,
    });
    closeSync(log);
    this.child = child;
    if (identity !== undefined) this.send({ tell: 'identity', parts: identity });
    if (child.output !== undefined) readEvents(child.output, (event) => deps.onEvent(this, event));
    return child;
  }
}

/** Longest time it may take to tell Consul that this instance goes, and then that it is gone. */
function leaveMs({ config: { consul } }: SidecarSpec): number {
  return consul?.registration === undefined ? 0 : consul.registration.propagationMs + CONSUL_SLACK_MS;
}
