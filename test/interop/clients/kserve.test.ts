/** KServe's Python client, unchanged, through two sidecars with mutual TLS. */

import { suiteModels } from '../../kit/interop/model-pair.js';
import { pythonCases } from '../../kit/interop/python-cases.js';

const CASES = [
  ...['health', 'infer', 'infer_contents', 'infer_bytes', 'parameters_and_headers', 'errors', 'timeout'],
];

describe('kserve’s InferenceGRPCClient through two sidecars with mutual TLS', () => {
  const suite = suiteModels();
  pythonCases('kserve', 'clients/kserve_client.py', CASES, () => [suite.target]);
});
