/**
 * How the machine treats calls that do not go through the mesh: a model called directly, beside every drill. Only what
 * goes wrong here excuses a drill; what the mesh does to its own calls never does.
 */

import { Load, type SentCall, summarize } from './load.js';
import { Model } from './model.js';

const SERVICE_MS = 20;
const PER_SECOND = 50;
const DEADLINE_MS = 1_000;
/** A slower call to a model without a fault shows that the machine had no time for the drill, ms. */
const CALM_MS = 250;

/** Calls beside a drill that do not go through the mesh. */
export class Control {
  private constructor(
    private readonly model: Model,
    private readonly load: Load,
  ) {}

  static async open(): Promise<Control> {
    const model = await Model.start({ serviceMs: SERVICE_MS });
    const options = { target: model.address, perSecond: PER_SECOND, deadlineMs: DEADLINE_MS };
    const load = await Load.start(options).catch(async (error: Error) => {
      await model.kill();
      throw error;
    });
    return new Control(model, load);
  }

  /** What has been wrong with the machine since then; undefined: nothing that these calls could see. */
  async since(fromMs: number): Promise<string | undefined> {
    const calls = await this.load.between(fromMs).catch(() => undefined);
    return calls === undefined ? 'calls without the mesh did not end' : disturbance(calls);
  }

  /** How late the slowest hundredth of its answers was in a stretch of time: what the machine and we ourselves add to a call, ms. */
  async latenessMs(fromMs: number, toMs: number): Promise<number> {
    return Math.max(0, summarize(await this.load.between(fromMs, toMs)).p99Ms - SERVICE_MS);
  }

  async close(): Promise<void> {
    await this.load.stop().catch(() => {});
    await this.model.kill();
  }
}

/** What calls without the mesh tell of the machine. */
export function disturbance(calls: readonly SentCall[]): string | undefined {
  const { failed, slowestMs } = summarize(calls);
  if (failed > 0) return `${failed} calls without the mesh failed`;
  if (slowestMs > CALM_MS) return `a call without the mesh took ${slowestMs.toFixed(0)} ms`;
  return undefined;
}
