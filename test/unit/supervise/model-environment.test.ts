import assert from 'node:assert/strict';
import { modelEnvironment } from '../../../sidecar/supervise/model-environment.js';

const NOTHING = { inherit: [], env: {} };

describe('environment of a model process', () => {
  it('passes on what finds programs, libraries, devices and the locale', () => {
    const own = {
      ...{ PATH: '/bin', HOME: '/home/m', TMPDIR: '/t', TZ: 'UTC', LANG: 'C.UTF-8', LC_ALL: 'C' },
      ...{ LD_LIBRARY_PATH: '/lib', VIRTUAL_ENV: '/venv', PYTHONPATH: '/p', PYTHONUNBUFFERED: '1' },
      ...{ CUDA_VISIBLE_DEVICES: '0', NVIDIA_VISIBLE_DEVICES: 'all', OMP_NUM_THREADS: '2' },
    };
    assert.deepEqual(modelEnvironment(own, NOTHING, {}), { env: own, withheld: [] });
  });

  it('withholds everything else and says its names, never its values', () => {
    const secrets = { CONSUL_HTTP_TOKEN: 's', AWS_SECRET_ACCESS_KEY: 's', PATH_TO_KEY: 's', MY_PATH: 's' };
    const own = { ...secrets, NODE_OPTIONS: '--inspect=9229', LD_PRELOAD: '/lib/x.so' };
    const withheld = Object.keys(own).sort();
    assert.deepEqual(modelEnvironment({ ...own, gone: undefined }, NOTHING, {}), { env: {}, withheld });
  });

  it('passes on what is named, exactly or by its beginning', () => {
    const own = { HF_HOME: '/hf', HF_TOKEN: 'secret', AWS_REGION: 'eu', AWS_PROFILE: 'p', AW: 'x' };
    const found = modelEnvironment(own, { inherit: ['HF_HOME', 'AWS_*'], env: {} }, {});
    assert.deepEqual(found.env, { HF_HOME: '/hf', AWS_REGION: 'eu', AWS_PROFILE: 'p' });
    assert.deepEqual(found.withheld, ['AW', 'HF_TOKEN']);
  });

  it('sets what the file says, and above it what the sidecar says', () => {
    const found = modelEnvironment(
      { PATH: '/bin', LEVEL: 'from outside', OUTRIDER_MODEL_LISTEN: 'other' },
      { inherit: [], env: { PATH: '/opt', LEVEL: '3', OUTRIDER_MODEL_LISTEN: 'elsewhere' } },
      { OUTRIDER_MODEL_LISTEN: 'unix:/s' },
    );
    const env = { PATH: '/opt', LEVEL: '3', OUTRIDER_MODEL_LISTEN: 'unix:/s' };
    assert.deepEqual(found, { env, withheld: [] });
  });
});
