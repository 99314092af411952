/** Health checks go on: a moment between two of them is waited for, so many times, ms. */
const BETWEEN_MS = 10;
const MOST_TIMES = 100;

export async function restBetweenChecks(world: World): Promise<void> {
  if (!world.plan.features.includes('health-checks')) return;
  for (let i = 0; i < MOST_TIMES && !isStill(world); i++) await world.until(world.nowMs + BETWEEN_MS);
}

function isStill({ sidecars }: World): boolean {
  return sidecars.every(({ insides }) => {
    const endpoints = insides?.outbound.upstreams.flatMap(({ clusters }) =>
      clusters.flatMap((each) => each.endpoints),
    );
    const streams = endpoints
      ?.flatMap(({ pool }) => pool.sessions)
      .reduce((sum, each) => sum + each.inFlight, 0);
    return insides === undefined || (streams === 0 && insides.context.dataPlane.memory.waiting.bytes === 0);
  });
}

/** What must be so when all calls have ended and all faults are over: nothing is left of them. */
import type { World } from '../world/world.js';

export function judgeRest(world: World): void {
  for (const sidecar of world.sidecars) {
    const { insides, name, process } = sidecar;
    if (insides === undefined || process.isDead) continue;
    const { context, outbound, inbound } = insides;
    const { memory, stats, flushes: _flushes } = context.dataPlane;
    const find = (what: string): void => world.find('nothing-left', `${name}: ${what}`);
    const is = (value: number, what: string): void => {
      if (value !== 0) find(`${what}: ${value}`);
    };
    is(memory.held, 'bytes held');
    is(memory.reservedBytes, 'bytes promised');
    is(memory.waiting.bytes, 'bytes waiting');
    for (const call of stats.calls) {
      is(call.inFlight, `${call.direction} ${call.method}: calls in flight`);
      const finished = call.byStatus.reduce((sum, n) => sum + n, 0);
      is(call.started - finished, `${call.direction} ${call.method}: calls started and not finished`);
    }
    for (const each of outbound.upstreams) {
      const { limits } = each.breaker;
      is(limits?.inFlight ?? 0, `${each.name}: in flight by the breaker`);
      is(limits?.retries ?? 0, `${each.name}: retries by the breaker`);
      for (const endpoint of each.clusters.flatMap(({ endpoints }) => endpoints)) {
        is(endpoint.inFlight, `${each.name} ${endpoint.label}: attempts in flight`);
        is(endpoint.unanswered, `${each.name} ${endpoint.label}: streams without an answer`);
        for (const { inFlight, connection } of endpoint.pool.sessions) {
          is(inFlight, `${each.name} ${endpoint.label}: streams`);
          is(
            Number(connection.state.hasReady),
            `${each.name} ${endpoint.label}: closed streams to be written`,
          );
        }
      }
    }
    is(inbound?.inbound.state.limits.ledger.reserved ?? 0, 'tokens set aside');
    for (const { queues, instances } of inbound?.inbound.state.backends ?? []) {
      for (const { queue } of queues.all) {
        is(queue.running, 'running by the queue');
        is(queue.waiting, 'waiting in the queue');
        is(queue.waitingBytes, 'bytes in the queue');
        is(queue.waitingCost, 'tokens in the queue');
      }
      for (const { activity } of instances) is(activity.inFlight, 'runs of the model');
    }
    is(stats.defects, 'defects');
  }
  for (const model of world.models)
    if (model.executions.size > 0)
      world.find('nothing-left', `model of ${model.plan.name}: ${model.executions.size} calls at work`);
  for (const model of world.models)
    for (const peer of model.peers)
      if (peer.problem !== '') world.find('right-frames', `model of ${model.plan.name}: ${peer.problem}`);
  for (const caller of world.callers)
    for (const peer of caller.judged)
      if (peer.problem !== '') world.find('right-frames', `app ${caller.plan.name}: ${peer.problem}`);
}
