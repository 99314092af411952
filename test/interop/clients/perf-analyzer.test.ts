/** What perf_analyzer asks of a server, read from its source: its program needs a newer glibc than many machines have. */

import { suiteModels } from '../../kit/interop/model-pair.js';
import { pythonCases } from '../../kit/interop/python-cases.js';
import { EFFORT } from '../../kit/mocha/effort.js';

const CASES = ['synchronous', 'asynchronous', 'sequences', 'streaming'];

/** The path is the same but for one sidecar more; both are tried at night. */
const SERVINGS = EFFORT > 1 ? (['one process', 'a process per model'] as const) : (['one process'] as const);

for (const serving of SERVINGS)
  describe(`the calls of perf_analyzer through two sidecars with mutual TLS, ${serving}`, () => {
    const suite = suiteModels(serving);
    pythonCases('tritonclient', 'clients/perf_analyzer.py', CASES, () => [suite.target]);
  });
