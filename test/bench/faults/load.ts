/**
 * The load of the comparison of faults, a process of its own: a stock gRPC client. Latency counts from when a call was
 * due, so that a load that falls behind makes the figures worse, not better.
 */

import type { Client } from '@grpc/grpc-js';
import { ListedPace, PacedLoop } from '../../../sidecar/cli/chaos/load/paced-loop.js';
import { callUnary, clientOf, STOCK_CHANNEL } from '../../drills/faults/call.js';
import { ONCE } from '../../drills/faults/model-protocol.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import { type Calls, dueTimes, type LoadRequest, type Schedule } from './protocol.js';

const WARM_LIMIT_MS = 10_000;

/** Begins when the client is warm, and closes it in the end. */
async function begin(schedule: Schedule): Promise<{ readonly calls: Promise<Calls> }> {
  const { target, serviceConfig } = schedule;
  const client = clientOf(target, {
    ...STOCK_CHANNEL,
    ...(serviceConfig === undefined
      ? { 'grpc.enable_retries': 0 }
      : { 'grpc.service_config': JSON.stringify(serviceConfig) }),
  });
  const close = () => client.close();
  await warm(client).catch((error) => {
    close();
    throw error;
  });
  return { calls: send(client, schedule).finally(close) };
}

/** Until ten calls in a row are answered. */
async function warm(client: Client): Promise<void> {
  const endMs = performance.now() + WARM_LIMIT_MS;
  for (let well = 0; well < 10; ) {
    const status = await call(client, 'warm', 1_000);
    well = status === 0 ? well + 1 : 0;
    if (performance.now() > endMs) throw new Error(`calls are not answered, last status ${status}`);
  }
}

function send(client: Client, schedule: Schedule): Promise<Calls> {
  const { deadlineMs } = schedule;
  const dueMs = dueTimes(schedule);
  const tookMs: number[] = [];
  const status: number[] = [];
  const beganMs = performance.now();
  let sent = 0;
  let open = dueMs.length;
  return new Promise((resolve) => {
    const make = (): void => {
      const i = sent++;
      void call(client, `call-${i}`, deadlineMs).then((code) => {
        tookMs[i] = performance.now() - beganMs - dueMs[i]!;
        status[i] = code;
        open -= 1;
        if (open > 0) return;
        loop.stop();
        resolve({ dueMs, tookMs, status });
      });
    };
    const loop = new PacedLoop<'call'>(() => performance.now() - beganMs, make, 1);
    loop.start([['call', new ListedPace(dueMs)]]);
  });
}

/** The status with which it ended. */
function call(client: Client, id: string, deadlineMs: number): Promise<number> {
  const said = { request: Buffer.from(id), deadlineMs };
  return new Promise((resolve) => callUnary(client, ONCE, said, (error) => resolve(error?.code ?? 0)));
}

let running: Promise<Calls> | undefined;
answerRequests<LoadRequest>(async (request) => {
  if (request === 'calls') return running;
  const { calls } = await begin(request);
  running = calls;
  return performance.timeOrigin + performance.now();
});
