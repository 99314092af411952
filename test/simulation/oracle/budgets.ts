/** No caller of an engine has used more tokens at one replica than a minute has and the time since has brought. */
import { PROMPT } from '../plan/plan.js';
import { isGenerate } from '../world/engine.js';
import type { World } from '../world/world.js';

/** Clocks that jump bring tokens that no oracle could know of. */
const OTHERWISE = ['clock-jump'];
const MINUTE_MS = 60_000;

interface LimitedFile {
  readonly inbound: {
    readonly rate_limits?: readonly {
      readonly callers: readonly string[];
      readonly tokens_per_minute?: number;
    }[];
  };
}

export function judgeBudgets(world: World): void {
  const { plan, records } = world;
  if (OTHERWISE.some((each) => plan.features.includes(each))) return;
  for (const { name, file } of plan.replicas) {
    const [limit] = (file as LimitedFile).inbound.rate_limits ?? [];
    if (limit?.tokens_per_minute === undefined) continue;
    // A sidecar that starts again gives everybody a new minute.
    const lives = 1 + plan.faults.filter(({ target, kind }) => target === name && kind !== 'reload').length;
    let used = 0;
    let lastMs = world.originMs;
    const calls: number[] = [];
    for (const { plan: call, status, executions, endMs } of records) {
      const [execution] = executions;
      // Of a call that went elsewhere too, or was left, it is not known which tokens the sidecar saw here.
      if (!isGenerate(call) || status !== 0 || executions.length !== 1 || execution?.replica !== name)
        continue;
      if (!limit.callers.includes(execution.caller)) continue;
      used += (call.promptTokens ?? PROMPT) + (call.tokens ?? 0);
      lastMs = Math.max(lastMs, endMs);
      calls.push(call.id);
    }
    const may = lives * limit.tokens_per_minute * (1 + (lastMs - world.originMs) / MINUTE_MS);
    // What had come before the origin is a warm-up, in which the budget may have been full again.
    if (used > may)
      world.find('budgets', `${name}: ${calls.length} calls used ${used} tokens of ${may.toFixed(0)}`, calls);
  }
}
