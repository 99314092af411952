import assert from 'node:assert/strict';
import { type ClassCalls, WorkMix } from '../../../../sidecar/core/outlier/work-mix.js';
import { runs } from '../../../kit/mocha/effort.js';
import { seeded } from '../../../kit/time/seeded-random.js';

type Row = readonly (ClassCalls | undefined)[];

const of = (calls: number, medianMs: number): ClassCalls => ({ calls, medianMs });

/** What the endpoint `i` has beyond the others, compared at the first class. */
const beyond = (rows: readonly Row[], i: number, turns = 0): number => {
  const endpoints = rows[0]!.flatMap((each, at) => (each === undefined ? [] : [at]));
  const part = new WorkMix(rows, rows[0]!.length).beyondPeers(0, endpoints)(i, turns);
  return Math.round(part * 1e9) / 1e9;
};

describe('The work of endpoints by class', () => {
  it('is the same where shares are the same, however much it is and however long it takes there', () => {
    const rows = [
      [of(100, 2), of(10, 20)],
      [of(20, 20), of(2, 200)],
    ];
    assert.deepEqual([beyond(rows, 0), beyond(rows, 1)], [0, 0]);
  });

  it('counts calls by what one costs, and waiting costs nothing', () => {
    // 100 calls of 2 ms beside 10 of 20 ms: half of the work, though these are slow here for the wait.
    const rows = [
      [of(100, 30), of(100, 2)],
      [of(10, 20), undefined],
    ];
    assert.equal(beyond(rows, 0), 0.5);
  });

  it('is not beyond that of peers where an endpoint only has more of the compared class', () => {
    const rows = [
      [of(100, 30), of(100, 2)],
      [undefined, of(10, 20)],
    ];
    assert.equal(beyond(rows, 0), 0);
  });

  it('is compared with the mean of the peers', () => {
    const row = (...calls: number[]) => calls.map((each) => (each === 0 ? undefined : of(each, 1)));
    assert.equal(beyond([row(50, 0, 50), row(50, 100, 50)], 0), 0);
    assert.equal(beyond([row(50, 100, 50), row(50, 0, 50)], 0), 0.25);
  });

  describe('of a class that no other has', () => {
    const rare = (calls: number): readonly Row[] => [
      [of(40, 100), of(40, 5)],
      [of(calls, 100), undefined],
    ];

    it('costs as many times less as the endpoint is slower, where its calls are too few to be the reason', () => {
      // 40 calls of 5 ms beside one of 100 / 20 ms.
      assert.equal(beyond(rare(1), 0, 40), Math.round((5 / 205) * 1e9) / 1e9);
      assert.equal(beyond(rare(19), 0, 40), Math.round((95 / 295) * 1e9) / 1e9);
    });

    it('costs what it takes where each of half the turns may have waited for one', () => {
      assert.equal(beyond(rare(1), 0, 2), Math.round((100 / 300) * 1e9) / 1e9);
      assert.equal(beyond(rare(20), 0, 40), Math.round((2_000 / 2_200) * 1e9) / 1e9);
    });
  });

  it('by sums is what it is by the plain definition', () => {
    const random = seeded(5);
    const draw = (): ClassCalls | undefined =>
      random() < 0.5 ? undefined : of(1 + Math.floor(random() * 50), 1 + random() * 100);
    for (let round = 0; round < runs(40); round += 1) {
      const count = 2 + Math.floor(random() * 6);
      const rows = Array.from({ length: 1 + Math.floor(random() * 8) }, () =>
        Array.from({ length: count }, draw),
      );
      rows.forEach((row, callClass) => {
        const endpoints = row.flatMap((each, i) => (each === undefined ? [] : [i]));
        if (endpoints.length < 2) return;
        const bySums = new WorkMix(rows, count).beyondPeers(callClass, endpoints);
        for (const i of endpoints)
          for (const turns of [0, 30, 1_000]) {
            const expected = plainly({ rows, callClass, endpoints }, i, turns);
            assert.ok(Math.abs(bySums(i, turns) - expected) < 1e-9, `round ${round}: not ${expected}`);
          }
      });
    }
  });
});

interface Comparison {
  readonly rows: readonly Row[];
  readonly callClass: number;
  readonly endpoints: readonly number[];
}

/** Word for word, for one endpoint after the other. */
function plainly({ rows, callClass, endpoints }: Comparison, endpoint: number, turns: number): number {
  const lowest = (row: Row): number => Math.min(...row.flatMap((each) => each?.medianMs ?? []));
  const onlyHere = (row: Row): boolean => row.every((each, i) => (each !== undefined) === (i === endpoint));
  const lone = rows.filter(onlyHere).reduce((sum, row) => sum + row[endpoint]!.calls, 0);
  const slower = rows[callClass]![endpoint]!.medianMs / lowest(rows[callClass]!);
  const workOf = (i: number, row: Row): number => {
    const work = row[i] === undefined ? 0 : row[i].calls * lowest(row);
    return i === endpoint && onlyHere(row) && lone * 2 < turns ? work / slower : work;
  };
  const shareOf = (i: number, row: Row): number =>
    workOf(i, row) / rows.reduce((sum, each) => sum + workOf(i, each), 0);
  const peers = endpoints.filter((i) => i !== endpoint);
  return rows
    .filter((_, c) => c !== callClass)
    .map((row) => shareOf(endpoint, row) - peers.reduce((sum, i) => sum + shareOf(i, row), 0) / peers.length)
    .reduce((sum, each) => sum + Math.max(0, each), 0);
}
