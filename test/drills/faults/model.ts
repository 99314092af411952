/** Models of the drills as processes: started, told how to behave, killed, frozen, and asked what they did. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { freePort } from '../../kit/process/free-port.js';
import { Scratch } from '../../kit/process/outrider.js';
import {
  type Behaviour,
  type EventKind,
  type ModelEvent,
  type ModelPlan,
  untilSingle,
} from './model-protocol.js';
import { measure } from './times.js';

/** A model process of a drill. */
export class Model {
  private constructor(
    public process: AskedProcess<Behaviour, number>,
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

  /** Resolves when it does. */
  behave(behaviour: Behaviour): Promise<void> {
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
    const runs = this.events('ran', fromMs, toMs).map(({ atMs }) => atMs);
    return untilSingle(runs, fromMs, toMs);
  }

  /** Time until it has begun with so many calls; undefined when it does not within the limit. */
  untilRuns(fromMs: number, limitMs: number, count = 21): Promise<number | undefined> {
    return measure(() => this.events('ran', fromMs).length >= count, limitMs, fromMs);
  }

  /** What it wrote down in a stretch of time; `performance.now()`. Also of processes that were killed. */
  events(kind: EventKind, fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY): ModelEvent[] {
    const lines = readFileSync(this.plan.log, 'utf8').split('\n').slice(0, -1);
    const events = lines.map((line): ModelEvent => {
      const [at, what, ...id] = line.split(' ');
      return { atMs: Number(at) - performance.timeOrigin, kind: what as EventKind, id: id.join(' ') };
    });
    return events.filter((event) => event.kind === kind && event.atMs >= fromMs && event.atMs <= toMs);
  }
}

function launch(plan: ModelPlan): Promise<AskedProcess<Behaviour, number>> {
  return AskedProcess.start(new URL('model-process.js', import.meta.url), { args: [JSON.stringify(plan)] });
}
