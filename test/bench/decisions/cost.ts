/** How the cost of one decision is taken: best of several rounds, after a warm-up. */

const ROUNDS = 8;
export const TIMES = 300_000;

/**
 * `always`: made for every call, as configured by default. `option`: for every call where it is switched on. `instead`:
 * in place of one of these. `beside`: not on the way of a call.
 */
export type When = 'always' | 'option' | 'instead' | 'beside';

export interface DecisionCost {
  readonly name: string;
  readonly ns: number;
  readonly when: When;
}

export function measure(
  name: string,
  run: (call: number) => unknown,
  when: When = 'always',
  times = TIMES,
): DecisionCost {
  let best = Number.POSITIVE_INFINITY;
  let kept: unknown;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let call = 0; call < times; call++) kept = run(call);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / times);
  }
  if (kept === best) throw new Error('the result of the work must not be thrown away');
  return { name, ns: Math.round(best * 10) / 10, when };
}
