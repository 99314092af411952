/** gRPC by the cases of connectconformance, through two sidecars: `npm run conformance:connect` runs all of them, also without sidecars. */
import assert from 'node:assert/strict';
import { toolOrSkip } from '../../kit/process/tools.js';
import { PROGRAMS, runSuite } from './run.js';

/** Compression is the ends' own: with several the same cases come again. */
const COMPRESSIONS = ['IDENTITY'];

/** How many there are at least: a run of none would pass as well. */
const CASES: Readonly<Record<string, number>> = {
  referenceclient: 200,
  grpcclient: 100,
  referenceserver: 150,
  grpcserver: 150,
};

describe('connectconformance, through two sidecars', () => {
  let binary = '';

  before(async function () {
    binary = await toolOrSkip(this, 'connectconformance');
  });

  for (const program of PROGRAMS)
    it(`passes every case with the ${program.mode} ${program.name}`, async function () {
      this.timeout(180_000);
      const { failures, total } = await runSuite(
        binary,
        { ...program, compressions: COMPRESSIONS },
        'sidecars',
      );
      assert.deepEqual(failures, []);
      assert.ok(total >= CASES[program.name]!, `${total} cases`);
    });
});
