/** A process and a probe that do what the test says, for the state machines above them. */

import type { ProcessExit } from '../../../sidecar/core/health/process-end.js';
import type { Health } from '../../../sidecar/health/model/health-probe.js';
import type { Probe, RunningProcess } from '../../../sidecar/supervise/supervisor.js';

export class FakeProcess implements RunningProcess {
  readonly signals: NodeJS.Signals[] = [];

  constructor(
    readonly pid: number,
    private readonly onExit: (how: string, exit: ProcessExit) => void,
  ) {}

  /** `how` as ChildProcessHandle says it; code and signal are read from it. */
  exit(how: string): void {
    const code = /exited with code (\d+)/.exec(how)?.[1];
    this.onExit(how, {
      code: code === undefined ? null : Number(code),
      signal: /killed by (\w+)/.exec(how)?.[1] ?? null,
    });
  }

  signal(name: NodeJS.Signals): void {
    this.signals.push(name);
  }
}

export class FakeProbe implements Probe {
  /** What the next checks answer; `wait` leaves a check unanswered until `release`. */
  health: Health | 'wait' = { kind: 'silent', why: 'not listening' };
  asked = 0;
  closed = 0;
  private readonly waiting: ((health: Health) => void)[] = [];

  check(): Promise<Health> {
    this.asked++;
    if (this.health !== 'wait') return Promise.resolve(this.health);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  release(health: Health): void {
    for (const resolve of this.waiting.splice(0)) resolve(health);
  }

  close(): void {
    this.closed++;
  }
}

export const SERVING: Health = { kind: 'serving' };
export const SILENT: Health = { kind: 'silent', why: 'no answer in 1000 ms' };
