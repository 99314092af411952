/** What perf_analyzer asks of a server, read from its source: its program needs a newer glibc than many machines have. */

import { suiteModels } from '../../kit/interop/model-pair.js';
import { pythonCases } from '../../kit/interop/python-cases.js';

const CASES = ['synchronous', 'asynchronous', 'sequences', 'streaming'];

for (const serving of ['one process', 'a process per model'] as const)
  describe(`the calls of perf_analyzer through two sidecars with mutual TLS, ${serving}`, () => {
    const suite = suiteModels(serving);
    pythonCases('tritonclient', 'clients/perf_analyzer.py', CASES, () => [suite.target]);
  });
