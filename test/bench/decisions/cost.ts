/** How the cost of one decision is taken: best of several rounds, after a warm-up. */

const ROUNDS = 8;
/** Runs in one round. */
export const TIMES = 300_000;

/** When a decision is made: see the four functions below. */
export type When = 'always' | 'option' | 'instead' | 'beside';

/** What one decision costs, ns. */
export interface DecisionCost {
  readonly name: string;
  readonly ns: number;
  readonly when: When;
}

/** The cost of a decision that is made for every call, as configured by default. */
export const always = measuring('always');
/** The cost of one for every call where it is switched on. */
export const option = measuring('option');
/** The cost of one that is made in place of another. */
export const instead = measuring('instead');
/** The cost of work that is not on the way of a call. */
export const beside = measuring('beside');

function measuring(when: When) {
  return (name: string, run: (call: number) => unknown, times = TIMES): DecisionCost => {
    let best = Number.POSITIVE_INFINITY;
    let kept: unknown;
    for (let round = 0; round < ROUNDS; round++) {
      const start = process.hrtime.bigint();
      for (let call = 0; call < times; call++) kept = run(call);
      best = Math.min(best, Number(process.hrtime.bigint() - start) / times);
    }
    if (kept === best) throw new Error('the result of the work must not be thrown away');
    return { name, ns: Math.round(best * 10) / 10, when };
  };
}
