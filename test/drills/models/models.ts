/** Models of the drills as processes: started, told how to behave, killed, frozen, and asked what they did. */

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Behaviour,
  type EventKind,
  type ModelEvent,
  type ModelPlan,
  type ModelReply,
  untilSingle,
} from './protocol.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const PROGRAM = ['process.js', 'process.ts'].map((name) => join(HERE, name)).find(existsSync)!;

/** Whatever ends the drill, no model stays: a frozen one would not see that its parent is gone. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A model process of a drill. */
export class Model {
  private constructor(
    private child: ChildProcess,
    /** With the port that it listens at. */
    private readonly plan: ModelPlan,
  ) {}

  /** Resolves when it listens. */
  static async start(plan: Omit<ModelPlan, 'port'>): Promise<Model> {
    const { child, port } = await launch({ ...plan, port: 0 });
    return new Model(child, { ...plan, port });
  }

  get port(): number {
    return this.plan.port;
  }

  get pid(): number {
    return this.child.pid!;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Resolves when it does. */
  async behave(behaviour: Behaviour): Promise<void> {
    this.child.send({ behaviour });
    await replyOf(this.child);
  }

  /** Resolves when it is gone. */
  async kill(): Promise<void> {
    if (!this.isRunning) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  /** On the same port, and well. */
  async restart(): Promise<void> {
    await this.kill();
    this.child = (await launch(this.plan)).child;
  }

  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  thaw(): void {
    this.child.kill('SIGCONT');
  }

  /**
   * Time until it runs no more than one call in half a second, whether a balancer or an ejection keeps calls away.
   * Undefined when that does not happen before `toMs`.
   */
  untilSingleRuns(fromMs: number, toMs: number): number | undefined {
    const runs = this.events('ran', fromMs, toMs).map(({ atMs }) => atMs);
    return untilSingle(runs, fromMs, toMs);
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

async function launch(plan: ModelPlan): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = fork(PROGRAM, [JSON.stringify(plan)], { execArgv: process.execArgv });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const reply = await replyOf(child);
  if ('port' in reply) return { child, port: reply.port };
  child.kill('SIGKILL');
  throw new Error(`the model did not start: ${JSON.stringify(reply)}`);
}

function replyOf(child: ChildProcess): Promise<ModelReply> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null): void =>
      reject(new Error(`the model ended with ${code ?? signal}`));
    child.once('exit', onExit);
    child.once('message', (reply: ModelReply) => {
      child.removeListener('exit', onExit);
      resolve(reply);
    });
  });
}
