/**
 * Whether a model may run several requests as one batch, and whether that is of use: a row has to give in a batch what it
 * gives alone, and a batch has to take less time than its rows one after the other.
 */

import type { Tensor } from '../../../proto/datatypes.js';
import { type ProvableSession, proveBatching } from '../models/golden.js';
import { messageOf } from '../rpc.js';
import { combine } from '../runs/stacking.js';

export interface BatchingFound {
  /** 1: requests run alone. */
  readonly maxBatch: number;
  /** One line with the measurement, or why there is none. */
  readonly because: string;
}

const ROWS = 8;
const MORE_ROWS = 32;
/** Below this, the gain may be chance, and a batch makes its first request wait for its last. */
const LEAST_GAIN = 1.2;
const LEAST_ROUNDS = 3;
const MOST_ROUNDS = 40;
const BUDGET_MS = 1_000;

/**
 * @param inputs of one request, with the first dimension for its rows.
 * @param now ms of a monotonic clock, to fractions.
 */
export async function probeBatching(
  session: ProvableSession,
  inputs: readonly Tensor[],
  now: () => number,
): Promise<BatchingFound> {
  const wanted = session.outputs.map((_, i) => i);
  try {
    const single = await session.run(inputs, wanted);
    await proveBatching(session, { inputs, single, tolerance: 1e-4 });
  } catch (error) {
    return { maxBatch: 1, because: messageOf(error) };
  }
  const rows = (count: number) => combine(Array.from({ length: count }, () => ({ inputs })));
  const [few, many] = [rows(ROWS), rows(MORE_ROWS)];
  const measure = timer(session, now);
  const alone = ROWS * (await measure(inputs));
  const batch = await measure(few);
  const gain = alone / batch;
  const compared = `${ROWS} requests take ${ms(alone)} one after the other, ${ms(batch)} as one batch`;
  if (gain < LEAST_GAIN) return { maxBatch: 1, because: `it does not help: ${compared}` };
  const isBetter = (await measure(many)) / MORE_ROWS < batch / ROWS;
  const because = `${compared}: ${gain.toFixed(1)} times as fast`;
  return { maxBatch: isBetter ? MORE_ROWS : ROWS, because };
}

/** Median time of a run, ms, of at least three runs and as many as fit into a second. */
function timer(session: ProvableSession, now: () => number): (inputs: readonly Tensor[]) => Promise<number> {
  const wanted = session.outputs.map((_, i) => i);
  return async (inputs) => {
    const times: number[] = [];
    const began = now();
    await session.run(inputs, wanted); // buffers of this size are made in the first run
    while (times.length < LEAST_ROUNDS || (times.length < MOST_ROUNDS && now() - began < BUDGET_MS)) {
      const before = now();
      await session.run(inputs, wanted);
      times.push(now() - before);
    }
    return times.sort((a, b) => a - b)[times.length >> 1]!;
  };
}

function ms(value: number): string {
  return `${Number(value.toPrecision(2))} ms`;
}
