/** Help and mistakes on the command lines of the programs beside the tests. */

import assert from 'node:assert/strict';
import { readOptions as readBench, USAGE } from '../bench/options.js';
import { readOptions as readFaults, usage } from '../drills/faults/options.js';
import { HelpRequested, UsageError } from '../kit/process/command-line.js';

const SUITES = { consul: ['agent-down'], decisions: ['slow', 'tiers'] };

describe('command lines of the programs beside the tests', () => {
  it('answer --help with the usage, whatever stands before it', () => {
    for (const args of [['--help'], ['decisions', '--help'], ['consul', '--quick', '-h']])
      assert.throws(() => readFaults(args, SUITES), new HelpRequested(usage(SUITES)));
    for (const args of [['--help'], ['relay', '--help'], ['faults', '-h']])
      assert.throws(() => readBench(args), new HelpRequested(USAGE));
  });

  it('call a mistake a mistake', () => {
    for (const args of [[], ['nothing'], ['decisions', '--nothing'], ['decisions', '--only', 'fast']])
      assert.throws(() => readFaults(args, SUITES), UsageError);
    assert.throws(() => readBench(['relay', '--nothing']), UsageError);
  });
});
