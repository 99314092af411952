/** Eight callers and four replicas, each with its sidecar: the same calls with load reports and without, in turn. */

import type { Client } from '@grpc/grpc-js';
import { callUnary, clientOf } from '../../../sidecar/cli/chaos/protocol/call.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { Model } from '../../drills/faults/model.js';
import { ONCE } from '../../drills/faults/model-protocol.js';
import { quantile } from '../../drills/faults/times.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { seeded } from '../../kit/time/seeded-random.js';

const CALLERS = 8;
const REPLICAS = 4;
const PLACES = 2;
const SHORTEST_MS = 1;
const LONGEST_MS = 500;
const UTILIZATION = 0.75;
const MEAN_MS = (LONGEST_MS - SHORTEST_MS) / Math.log(LONGEST_MS / SHORTEST_MS);
const PER_SECOND = (UTILIZATION * REPLICAS * PLACES * 1_000) / MEAN_MS;
const DEADLINE_MS = 30_000;
/** Calls of the begin, while latencies and reports are few, do not count. */
const WARM_MS = 2_000;

/** Waits of the calls of one run, ms: what a call took beyond its own run. */
export interface RunWaits {
  readonly calls: number;
  readonly failed: number;
  readonly meanMs: number;
  readonly p99Ms: number;
}

/** The same calls both ways. */
export interface PairOfRuns {
  readonly own: RunWaits;
  readonly reported: RunWaits;
}

/** Runs so many pairs; which of the two goes first changes from pair to pair. */
export async function runPairs(
  { pairs, forMs }: { readonly pairs: number; readonly forMs: number },
  say: (line: string) => void,
): Promise<readonly PairOfRuns[]> {
  const bench = await SidecarBench.open();
  const models = await Promise.all(
    Array.from({ length: REPLICAS }, () => Model.start({ serviceMs: 1, places: PLACES })),
  );
  const clients: Client[] = [];
  try {
    await Promise.all(models.map((model) => model.behave({ does: 'take' })));
    const endpoints = await startReplicas(bench, models);
    const [own, reported] = [
      await startCallers(bench, endpoints, 'none'),
      await startCallers(bench, endpoints, '1s'),
    ];
    clients.push(...own, ...reported);
    const found: PairOfRuns[] = [];
    for (let pair = 0; pair < pairs; pair += 1) {
      const order = pair % 2 === 0 ? (['own', 'reported'] as const) : (['reported', 'own'] as const);
      const waits = {} as Record<'own' | 'reported', RunWaits>;
      for (const which of order) waits[which] = await run(which === 'own' ? own : reported, forMs, pair + 1);
      found.push(waits);
      say(`pair ${pair + 1}: mean ${waits.own.meanMs.toFixed(1)} → ${waits.reported.meanMs.toFixed(1)} ms`);
    }
    return found;
  } finally {
    for (const client of clients) client.close();
    await Promise.all(models.map((model) => model.kill()));
    await bench.close();
  }
}

async function startReplicas(bench: SidecarBench, models: readonly Model[]): Promise<readonly string[]> {
  const sidecars = await bench.startReplicas(
    models.map(({ address }) => address),
    {
      queue: { concurrency: PLACES, max_waiting: 10_000 },
      routes: [{ methods: [ONCE.path], kind: 'unary', timeout: '30s' }],
    },
  );
  return sidecars.map((each) => writeAddress(each.address('inbound')));
}

/** Sidecars of callers and a client of each. @param interval of reports. */
async function startCallers(
  bench: SidecarBench,
  endpoints: readonly string[],
  interval: string,
): Promise<readonly Client[]> {
  const identity = await bench.identity('app');
  const routes = [{ methods: [ONCE.path], kind: 'unary', timeout: '30s' }];
  const upstream = { listen: '127.0.0.1:0', endpoints, routes, load_reports: { interval } };
  const sidecars: SidecarProcess[] = [];
  // One after another: so many at once would take the machine for long.
  for (let i = 0; i < CALLERS; i += 1)
    sidecars.push(
      await bench.start(`app-${interval}-${i}`, {
        service: 'app',
        identity,
        outbound: { upstreams: { model: upstream } },
      }),
    );
  await Promise.all(sidecars.map((each) => each.ready()));
  return sidecars.map((each) => clientOf(writeAddress(each.address('upstream model'))));
}

/** Calls of all callers together at random times, as the seed says. */
async function run(clients: readonly Client[], forMs: number, seed: number): Promise<RunWaits> {
  const random = seeded(seed);
  const waits: number[] = [];
  let [open, failed, dueMs] = [0, 0, 0];
  const startMs = performance.now();
  const call = (atMs: number): void => {
    const client = clients[Math.floor(random() * clients.length)]!;
    const runMs = SHORTEST_MS * (LONGEST_MS / SHORTEST_MS) ** random();
    const sentMs = performance.now();
    open += 1;
    const said = { request: Buffer.from(runMs.toFixed(3)), deadlineMs: DEADLINE_MS };
    callUnary(client, ONCE, said, (error) => {
      open -= 1;
      if (error !== null) failed += 1;
      else if (atMs >= WARM_MS) waits.push(performance.now() - sentMs - runMs);
    });
  };
  const timer = setInterval(() => {
    const nowMs = Math.min(performance.now() - startMs, WARM_MS + forMs);
    while (dueMs <= nowMs) {
      call(dueMs);
      dueMs += (-Math.log(1 - random()) * 1_000) / PER_SECOND;
    }
  }, 2);
  await until(
    'the calls are sent',
    () => performance.now() - startMs > WARM_MS + forMs,
    WARM_MS + forMs + 10_000,
  );
  clearInterval(timer);
  await until('every call has ended', () => open === 0, DEADLINE_MS + 5_000);
  const meanMs = waits.reduce((sum, ms) => sum + ms, 0) / waits.length;
  return { calls: waits.length, failed, meanMs, p99Ms: quantile(waits, 0.99) };
}
