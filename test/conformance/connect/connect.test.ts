/** gRPC by the cases of connectconformance, through two sidecars: `npm run conformance:connect` runs all of them, also without sidecars. */
import assert from 'node:assert/strict';
import { EFFORT } from '../../kit/mocha/effort.js';
import { toolOrSkip } from '../../kit/process/tools.js';
import { PROGRAMS, runSuite } from './run.js';

/** Compression and encoding are the ends' own: with several the same cases come again. */
const ONE = { compressions: ['IDENTITY'], codecs: ['PROTO'] };

/** At night: the same cases by Connect's own client instead of grpc-go's, and those that its server is told to check. */
const AT_NIGHT: Readonly<Record<string, number>> = { referenceclient: 100, referenceserver: 50 };

/** How many there are at least: a run of none would pass as well. */
const CASES: Readonly<Record<string, number>> = {
  grpcclient: 100,
  ...(EFFORT > 1 ? AT_NIGHT : {}),
};

describe('connectconformance, through two sidecars', () => {
  let binary = '';

  before(async function () {
    binary = await toolOrSkip(this, 'connectconformance');
  });

  // grpc-go as the server takes half a minute: its time is that of its deadlines.
  for (const program of PROGRAMS.filter(({ name }) => name in CASES))
    it(`passes every case with the ${program.mode} ${program.name}`, async function () {
      this.timeout(180_000);
      const { failures, total } = await runSuite(binary, { ...program, ...ONE }, 'sidecars');
      assert.deepEqual(failures, []);
      assert.ok(total >= CASES[program.name]!, `${total} cases`);
    });
});
