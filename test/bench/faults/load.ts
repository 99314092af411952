/**
 * The load of the comparison of faults, a process of its own: a stock gRPC client. Latency counts from when a call was
 * due, so that a load that falls behind makes the figures worse, not better.
 */

import { type ChannelOptions, Client, credentials, Metadata } from '@grpc/grpc-js';
import { ONCE } from '../../drills/models/protocol.js';
import { seeded } from '../../kit/time/seeded-random.js';
import type { Calls, LoadMessage, Schedule } from './protocol.js';

const WARM_LIMIT_MS = 10_000;

/** When each call is due: the same for the same schedule. */
export function dueTimes({ phases, seed }: Pick<Schedule, 'phases' | 'seed'>): number[] {
  const random = seeded(seed);
  const due: number[] = [];
  let fromMs = 0;
  for (const { forMs, perSecond } of phases) {
    const gap = (): number => (-Math.log(1 - random()) * 1_000) / perSecond;
    for (let atMs = fromMs + gap(); atMs < fromMs + forMs; atMs += gap()) due.push(atMs);
    fromMs += forMs;
  }
  return due;
}

async function run(schedule: Schedule): Promise<Calls> {
  const { target, serviceConfig } = schedule;
  const options: ChannelOptions = {
    'grpc.use_local_subchannel_pool': 1,
    ...(serviceConfig === undefined
      ? { 'grpc.enable_retries': 0 }
      : { 'grpc.service_config': JSON.stringify(serviceConfig) }),
  };
  const client = new Client(target, credentials.createInsecure(), options);
  try {
    await warm(client);
    reply({ began: performance.timeOrigin + performance.now() });
    return await send(client, schedule);
  } finally {
    client.close();
  }
}

/** Until ten calls in a row are answered. */
async function warm(client: Client): Promise<void> {
  const endMs = performance.now() + WARM_LIMIT_MS;
  for (let well = 0; well < 10; ) {
    const status = await new Promise<number>((resolve) => call(client, 'warm', 1_000, resolve));
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
    const timer = setInterval(() => {
      for (; sent < dueMs.length && dueMs[sent]! <= performance.now() - beganMs; sent++) {
        const i = sent;
        call(client, `call-${i}`, deadlineMs, (code) => {
          tookMs[i] = performance.now() - beganMs - dueMs[i]!;
          status[i] = code;
          open -= 1;
          if (open > 0) return;
          clearInterval(timer);
          resolve({ dueMs, tookMs, status });
        });
      }
    }, 1);
  });
}

function call(client: Client, id: string, deadlineMs: number, done: (status: number) => void): void {
  const { path, requestSerialize, responseDeserialize } = ONCE;
  const deadline = Date.now() + deadlineMs;
  client.makeUnaryRequest(
    ...[path, requestSerialize, responseDeserialize, Buffer.from(id), new Metadata()],
    { deadline },
    (error) => done(error === null ? 0 : error.code),
  );
}

function reply(message: LoadMessage): void {
  process.send?.(message);
}

if (process.argv[2] === 'load') {
  process.on('message', (schedule: Schedule) => {
    run(schedule).then(
      (calls) => reply({ calls }),
      (error: Error) => reply({ error: error.message }),
    );
  });
  process.on('disconnect', () => process.exit(0));
  reply({ ready: true });
}
