/**
 * The load of the comparison of faults, a process of its own: a stock gRPC client. Latency counts from when a call was
 * due, so that a load that falls behind makes the figures worse, not better.
 */

import { callUnary, STOCK_CHANNEL } from '../../../sidecar/cli/chaos/protocol/call.js';
import { brokenIn, idOfCall, Load } from '../../drills/faults/load.js';
import { ONCE } from '../../drills/faults/model-protocol.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import { type Calls, dueTimes, type LoadRequest, type Schedule } from './protocol.js';

const WARM_LIMIT_MS = 10_000;
const WARM_CALLS = 10;

let calls: Promise<Calls> | undefined;

/** Resolves when the client is warm and the schedule has begun. */
async function begin({ target, serviceConfig, deadlineMs, ...schedule }: Schedule): Promise<void> {
  const dueMs = dueTimes(schedule);
  const policy =
    serviceConfig === undefined
      ? { 'grpc.enable_retries': 0 }
      : { 'grpc.service_config': JSON.stringify(serviceConfig) };
  const load = await Load.start(
    {
      ...{ target, deadlineMs, dueMs, perSecond: 0, warmCalls: WARM_CALLS },
      channel: { ...STOCK_CHANNEL, ...policy },
      ask: (client, n, done) =>
        callUnary(client, ONCE, { request: Buffer.from(idOfCall(n)), deadlineMs }, done),
    },
    WARM_LIMIT_MS,
  );
  calls = load.whole().then((sent) => {
    const [broken] = brokenIn(load);
    if (broken !== undefined) throw new Error(broken);
    return sent.map(({ endMs, status }, i) => ({ startMs: dueMs[i]!, endMs, status }));
  });
}

answerRequests<LoadRequest>(async (request) => {
  if (request === 'calls') return calls;
  await begin(request);
  return performance.timeOrigin + performance.now();
});
