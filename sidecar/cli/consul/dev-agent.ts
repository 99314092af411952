import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RestartBackoff } from '../../core/retry/backoff.js';
import type { Health } from '../../health/model/health-probe.js';
import type { RuntimeDeps } from '../../runtime/deps.js';
import { makeDirectory } from '../../runtime/process/directory.js';
import { ChildProcessHandle, type OwnedProcessOptions } from '../../supervise/child-process.js';
import type { Guardian } from '../../supervise/guardian/guardian.js';
import { type Probe, Supervisor } from '../../supervise/supervisor.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { CommandFailure, oneLine } from '../failure.js';
import { monitorAnswers } from '../liveness.js';
import { AgentApi } from './agent-api.js';
import { type AgentFileInput, agentFile } from './agent-file.js';
import type { ConsulBinary } from './binary.js';

export interface DevAgentInput extends Omit<AgentFileInput, 'version'>, RuntimeDeps {
  readonly binary: ConsulBinary;
  /** Ends it after `up` was killed, also where the kernel does not. */
  readonly guardian?: Guardian;
  /** Called after every change of its state. */
  onChange(report: ModelReport): void;
}

const LIMITS = { startTimeoutMs: 30_000, stopTimeoutMs: 5_000 };
const RESTART = { baseMs: 100, maxMs: 5_000 };

/**
 * The Consul agent of `up --consul dev`: one server beside the mesh. It is restarted like every
 * process of `up`, on the same ports and with the same state, ends after the last sidecar, and dies
 * with `up`.
 */
export class DevAgent {
  readonly api: AgentApi;
  private readonly process: Supervisor;
  private readonly file: string;
  private readonly logFile: string;
  private settle!: { resolve(): void; reject(error: Error): void };
  /**
   * Resolves when there is a leader and a certificate authority; rejects with a CommandFailure when
   * it does not start.
   */
  readonly ready: Promise<void>;

  /** Writes the agent's file and starts nothing: `ports` may still be bound. */
  constructor(private readonly input: DevAgentInput) {
    const { folder, ports, binary, clock, timers } = input;
    this.file = join(folder, 'agent.json');
    this.logFile = join(folder, 'log');
    this.api = new AgentApi(ports.http);
    makeDirectory(join(folder, 'data'), 0o700);
    const content = agentFile({ ...input, version: binary.version });
    writeFileSync(this.file, JSON.stringify(content, null, 2), { mode: 0o600 });
    this.ready = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    this.ready.catch(() => {}); // not awaited when `up` is asked to end first
    const backoff = new RestartBackoff(RESTART, input.random);
    const probe = leaderProbe(this.api);
    this.process = new Supervisor(LIMITS, {
      ...{ clock, timers, probe },
      start: (onExit) => this.launch(onExit),
      monitor: (events) => monitorAnswers({ probe, events, clock, timers }),
      restartDelayMs: (readyForMs) => backoff.next(readyForMs),
      onChange: (report) => this.changed(report),
    });
  }

  /** Base URL of the HTTP API, for sidecars. */
  get url(): string {
    return `http://127.0.0.1:${this.input.ports.http}`;
  }

  /** URL of the web UI. */
  get ui(): string {
    return `${this.url}/ui/`;
  }

  report(): ModelReport {
    return this.process.report();
  }

  start(): void {
    this.process.start();
  }

  /** SIGTERM, SIGKILL after 5 s. Resolves when the process has exited. */
  async stop(): Promise<void> {
    await this.process.stop();
    this.api.close();
  }

  kill(): void {
    this.process.kill();
  }

  private launch(onExit: OwnedProcessOptions['onExit']): ChildProcessHandle {
    const log = openSync(this.logFile, 'a', 0o600);
    const argv = [this.input.binary.path, 'agent', '-ui', '-config-file', this.file];
    const env = withoutConsulVariables(process.env);
    const child = new ChildProcessHandle(argv, {
      env,
      stdout: log,
      stderr: log,
      guardian: this.input.guardian,
      onExit,
    });
    closeSync(log);
    return child;
  }

  private changed(report: ModelReport): void {
    if (report.state === 'ready') this.settle.resolve();
    if (report.state === 'backoff') {
      const why = this.startError() ?? report.why.replace(/; next start in .*/, '');
      this.settle.reject(new CommandFailure(`consul: ${why}`));
    }
    this.input.onChange(report);
  }

  /** The agent's own message about a failed start, such as a port in use, from its log. */
  private startError(): string | undefined {
    const text = readFileSync(this.logFile, 'utf8');
    return /Error starting agent: error="(.*)"/.exec(text)?.[1] ?? /^==> (failed .*)/m.exec(text)?.[1];
  }
}

/** Serving once there is a leader and the certificate authority has a root. */
function leaderProbe(api: AgentApi): Probe {
  return {
    async check(timeoutMs): Promise<Health> {
      try {
        const leader = await api.get('/status/leader', timeoutMs);
        if (leader.status !== 200 || JSON.parse(leader.body) === '') return silent('it has no leader yet');
        const roots = await api.get('/agent/connect/ca/roots', timeoutMs);
        // An agent that has just elected itself may answer with no root before it has read its authority.
        if (roots.status !== 200 || !JSON.parse(roots.body).ActiveRootID)
          return silent('it has no certificate authority yet');
        return { kind: 'serving' };
      } catch (error) {
        return silent(oneLine(error));
      }
    },
    close: () => api.close(),
  };
}

function silent(why: string): Health {
  return { kind: 'silent', why };
}

/** An environment without `CONSUL_*`: those variables are for another agent and its clients. */
export function withoutConsulVariables(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('CONSUL_')));
}
