/** Calls of a millisecond and of two seconds through the same upstream. */

import { protocols } from '../../../proto/load.js';
import { callUnary } from '../../../sidecar/cli/chaos/protocol/call.js';
import { type DecisionRow, drillRow } from '../decisions/drill.js';
import { RETRIED, sumOf } from '../decisions/mesh.js';
import { REQUEST } from '../faults/load.js';
import { quantile } from '../faults/times.js';

const SHORTEST_MS = 1;
const LONGEST_MS = 2_000;
const PLACES = 4;
const REPLICAS = 3;
const MEAN_MS = (LONGEST_MS - SHORTEST_MS) / Math.log(LONGEST_MS / SHORTEST_MS);
/** Of what the replicas can serve. */
const UTILIZATION = 0.6;
const DEADLINE_MS = 15_000;
/** A call that takes up to so long is a short one. */
const SHORT_MS = 20;
/** Beyond their own time, 95 % of the short calls take at most so long, ms. */
const MOST_WAIT_MS = 100;

/** Between 0 and 1, evenly spread over any run of calls (van der Corput). */
function spread(n: number): number {
  let value = 0;
  for (let left = n, digit = 0.5; left > 0; left = Math.floor(left / 2), digit /= 2)
    value += (left % 2) * digit;
  return value;
}

/** As many calls between 1 and 2 ms as between 1 and 2 s. */
const durationMs = (n: number): number => Math.round(SHORTEST_MS * (LONGEST_MS / SHORTEST_MS) ** spread(n));

interface Timed {
  readonly sentMs: number;
  readonly ownMs: number;
  readonly tookMs: number;
}

const mixedDurations: DecisionRow = {
  name: 'mixed-durations',
  fault: 'calls take from 1 ms to 2 s, at the same replicas',
  run: (world, trial) => {
    const timed: Timed[] = [];
    const row = drillRow({
      name: 'mixed-durations',
      fault: '',
      plan: {
        replicas: REPLICAS,
        places: PLACES,
        inbound: { queue: { concurrency: PLACES, max_waiting: 256 } },
        upstream: { routes: [{ ...RETRIED, timeout: '20s' }] },
      },
      load: {
        perSecond: (REPLICAS * PLACES * UTILIZATION * 1_000) / MEAN_MS,
        deadlineMs: DEADLINE_MS,
        ask: (client, n, done) => {
          const ownMs = durationMs(n);
          const sentMs = performance.now();
          const request = { ...REQUEST, id: String(ownMs) };
          return callUnary(
            client,
            protocols().inference.ModelInfer,
            { request, deadlineMs: DEADLINE_MS },
            (error, answer) => {
              timed.push({ sentMs, ownMs, tookMs: performance.now() - sentMs });
              done(error, answer);
            },
          );
        },
      },
      work: async ({ mesh, load }) => {
        await mesh.behave({ does: 'take' });
        const fromMs = performance.now();
        const detected = await mesh.detections();
        const calls = await load.during(fromMs, trial.pick(4_000, 60_000));
        const shares = mesh.shares(fromMs);
        trial.noneFailed('no call fails', calls);
        trial.none('no replica is found bad for the calls that it was given', await detected(), 'times');
        trial.figure('runs', shares.join(' / '));
        trial.every(
          'each replica gets at least a quarter of the calls',
          shares,
          (runs) => runs >= sumOf(shares) / 4,
        );
        const waits = (from: number, to: number) =>
          timed
            .filter(({ sentMs, ownMs }) => sentMs >= fromMs && ownMs >= from && ownMs <= to)
            .map(({ ownMs, tookMs }) => tookMs - ownMs);
        const short = waits(0, SHORT_MS);
        const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => `${quantile(short, share).toFixed(0)} ms`);
        trial.figure(
          `the ${short.length} calls of up to ${SHORT_MS} ms waited`,
          `p50 ${p50}, p95 ${p95}, p99 ${p99}`,
        );
        const long = waits(500, LONGEST_MS);
        trial.figure(`the ${long.length} of 0.5 s and more`, `p95 ${quantile(long, 0.95).toFixed(0)} ms`);
        trial.expect(
          `95 % of the short calls wait at most ${MOST_WAIT_MS} ms`,
          quantile(short, 0.95) <= MOST_WAIT_MS,
          p95!,
        );
      },
    });
    return row.run(world, trial);
  },
};

export const DURATION_ROWS: readonly DecisionRow[] = [mixedDurations];
