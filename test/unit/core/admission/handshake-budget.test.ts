import assert from 'node:assert/strict';
import { HandshakeBudget } from '../../../../sidecar/core/admission/handshake-budget.js';

const RATE = 100;

/** Asks `perSecond` times a second for each address, evenly, for `seconds`; what each address got. */
function run(
  budget: HandshakeBudget,
  rates: Readonly<Record<string, number>>,
  seconds = 10,
): Record<string, number> {
  const got = Object.fromEntries(Object.keys(rates).map((address) => [address, 0]));
  for (let ms = 0; ms < seconds * 1000; ms++)
    for (const [address, perSecond] of Object.entries(rates)) {
      const due = Math.floor(((ms + 1) * perSecond) / 1000) - Math.floor((ms * perSecond) / 1000);
      for (let i = 0; i < due; i++) if (budget.take(address, 5_000 + ms)) got[address]!++;
    }
  return got;
}

describe('the budget of handshakes', () => {
  it('gives a lone address all of it, at once and then at its rate', () => {
    const budget = new HandshakeBudget(RATE);
    const atOnce = Array.from({ length: 3 * RATE }, () => budget.take('a', 0)).filter(Boolean).length;
    assert.equal(atOnce, RATE);
    const { a } = run(new HandshakeBudget(RATE), { a: 1000 });
    assert.ok(a! >= 10 * RATE && a! <= 11 * RATE + 1, `${a}`);
  });

  it('refuses nobody while there is enough for all', () => {
    assert.deepEqual(run(new HandshakeBudget(RATE), { a: 70, b: 20, c: 1 }), { a: 700, b: 200, c: 10 });
  });

  it('refuses no burst of one address that fits beside the others', () => {
    const budget = new HandshakeBudget(RATE);
    assert.equal(budget.take('b', 1000), true);
    const got = Array.from({ length: RATE / 2 }, () => budget.take('a', 1001)).filter(Boolean).length;
    assert.ok(got >= RATE / 2 - 1, `${got}`);
  });

  it('keeps an address that floods from taking what others ask for', () => {
    const got = run(new HandshakeBudget(RATE), { flood: 5000, real: 30, rare: 1 });
    assert.deepEqual([got['real'], got['rare']], [300, 10]);
    // What the others leave is not lost.
    assert.ok(got['flood']! > 600, `${got['flood']}`);
  });

  it('divides itself evenly among addresses that all flood', () => {
    const got = run(new HandshakeBudget(RATE), { a: 1000, b: 1000, c: 1000, d: 1000 });
    const all = Object.values(got);
    assert.ok(Math.min(...all) > 0.5 * Math.max(...all), `${all}`);
    const sum = all.reduce((total, each) => total + each, 0);
    assert.ok(sum >= 9 * RATE && sum <= 11 * RATE + 4, `${sum}`);
  });

  it('forgets addresses, and holds on with more than it can tell apart', () => {
    const budget = new HandshakeBudget(RATE);
    let got = 0;
    for (let i = 0; i < 20_000; i++) if (budget.take(`address ${i}`, i / 10)) got++;
    assert.ok(got > RATE && got <= 4 * RATE, `${got}`);
    for (let i = 0; i < RATE / 2; i++) assert.equal(budget.take('later', 60_000), true, `${i}`);
  });

  it('holds a lone address to nothing that others did long ago', () => {
    const budget = new HandshakeBudget(RATE);
    run(budget, { a: 1000, b: 1000 }, 5);
    const got = Array.from({ length: RATE }, () => budget.take('a', 20_000)).filter(Boolean).length;
    assert.equal(got, RATE);
  });
});
