import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import type { KubernetesConfig } from '../../../../sidecar/config/model.js';
import { ApiFiles } from '../../../../sidecar/discovery/kubernetes/api-settings.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

const IN_POD = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '6443' };
const CONFIG: KubernetesConfig = { service: 'digits', family: 'any' };

describe('Where the Kubernetes API is asked', () => {
  const scratch = scratchForEach();
  const files = (env = {}): ApiFiles => new ApiFiles(env, scratch.path);

  it('is said by the environment and the account of the pod', () => {
    scratch.write('token', 'secret\n');
    scratch.write('ca.crt', 'PEM');
    scratch.write('namespace', 'models\n');
    const pod = files(IN_POD);
    const address = { kind: 'tcp', host: '10.96.0.1', port: 6443 };
    assert.deepEqual(pod.settings(CONFIG), { isTls: true, address, token: 'secret', ca: 'PEM' });
    assert.equal(pod.ownNamespace(), 'models');
    const six = files({ KUBERNETES_SERVICE_HOST: 'fd00::1' }).settings(CONFIG).address;
    assert.deepEqual(six, { kind: 'tcp', host: 'fd00::1', port: 443 });
  });

  it('takes a token that was replaced, and the last one while a file is away or empty', () => {
    scratch.write('token', 'one');
    scratch.write('ca.crt', 'PEM');
    const pod = files(IN_POD);
    const token = () => pod.settings(CONFIG).token;
    assert.equal(token(), 'one');
    scratch.write('token', 'two');
    assert.equal(token(), 'two');
    scratch.write('token', '');
    assert.equal(token(), 'two');
    rmSync(`${scratch.path}/token`);
    assert.equal(token(), 'two');
  });

  it('sends no token without TLS, and needs no file then', () => {
    const { isTls, token } = files().settings({ ...CONFIG, server: 'http://127.0.0.1:8001' });
    assert.deepEqual([isTls, token], [false, undefined]);
  });

  it('verifies by the roots of the machine where a server is named without a file', () => {
    const tokenFile = scratch.write('mine', 't');
    const server = 'https://api.test:6443';
    assert.equal(files().settings({ ...CONFIG, server, tokenFile }).ca, undefined);
    const caFile = scratch.write('roots', 'PEM');
    assert.equal(files().settings({ ...CONFIG, server, tokenFile, caFile }).ca, 'PEM');
  });

  it('says what is missing outside of a pod', () => {
    assert.throws(() => files().settings(CONFIG), /found no KUBERNETES_SERVICE_HOST .*; expected `server`/);
    assert.throws(
      () => files(IN_POD).settings(CONFIG),
      /token cannot be read \(ENOENT\); expected the account of a pod, or `token_file`/,
    );
    scratch.write('token', 'not a token');
    assert.throws(() => files(IN_POD).settings(CONFIG), /something else than a token/);
    scratch.write('token', 't');
    assert.throws(() => files(IN_POD).settings(CONFIG), /ca\.crt cannot be read/);
    assert.throws(() => files().ownNamespace(), /found no namespace in service.*expected NAME\.NAMESPACE/);
  });
});
