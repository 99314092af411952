/** Models of the drills as processes: started, told how to behave, killed, frozen, and asked what they did. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionRecord } from '../../../sidecar/cli/chaos/history/record.js';
import { readExecutions } from '../../../sidecar/cli/chaos/models/execution-log.js';
import { machineNow } from '../../../sidecar/cli/chaos/protocol/run-clock.js';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { freePort } from '../../kit/process/free-port.js';
import { Scratch } from '../../kit/process/outrider.js';
import { type ModelBehaviour, type ModelPlan, untilSingle } from './model-protocol.js';
import { measure } from './times.js';

export class Model {
  private constructor(
    public process: AskedProcess<ModelBehaviour, number>,
    private readonly plan: ModelPlan,
  ) {}

  /** Resolves when it listens. */
  static async start(wanted: Omit<ModelPlan, 'port' | 'log'>): Promise<Model> {
    // Nothing else gets the port while the model is away.
    const plan = { ...wanted, port: await freePort(), log: join(new Scratch().path, 'model.log') };
    return new Model(await launch(plan), plan);
  }

  get port(): number {
    return this.plan.port;
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  behave(behaviour: ModelBehaviour): Promise<void> {
    return this.process.ask(behaviour);
  }

  /** Resolves when it is gone. */
  kill(): Promise<void> {
    return this.process.kill();
  }

  /** On the same port, and well. */
  async restart(): Promise<void> {
    await this.kill();
    this.process = await launch(this.plan);
  }

  /**
   * Time until it runs no more than one call in half a second, whether a balancer or an ejection keeps calls away.
   * Undefined when that does not happen before `toMs`.
   */
  untilSingleRuns(fromMs: number, toMs: number): number | undefined {
    const starts = this.runs(fromMs, toMs).map(({ startMs }) => startMs);
    return untilSingle(starts, fromMs, toMs);
  }

  /** Time until it has begun with so many calls; undefined when it does not within the limit. */
  untilRuns(fromMs: number, limitMs: number, count = 21): Promise<number | undefined> {
    return measure(() => this.runs(fromMs).length >= count, limitMs, fromMs);
  }

  /** Its runs that began in a stretch of time; times are of `performance.now()`. Also of processes that were killed. */
  runs(fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY): readonly ExecutionRecord[] {
    return this.executions().filter(({ startMs }) => startMs >= fromMs && startMs <= toMs);
  }

  /** When runs were over whose caller had gone, in a stretch of time. */
  cancelled(fromMs: number, toMs = Number.POSITIVE_INFINITY): readonly number[] {
    const times = this.executions().flatMap(({ cancelledMs }) => cancelledMs ?? []);
    return times.filter((atMs) => atMs >= fromMs && atMs <= toMs);
  }

  private executions(): readonly ExecutionRecord[] {
    return readExecutions(
      readFileSync(this.plan.log, 'utf8'),
      this.address,
      machineNow() - performance.now(),
    );
  }
}

function launch(plan: ModelPlan): Promise<AskedProcess<ModelBehaviour, number>> {
  return AskedProcess.start(new URL('model-process.js', import.meta.url), { args: [JSON.stringify(plan)] });
}
