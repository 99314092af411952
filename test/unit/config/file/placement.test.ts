import assert from 'node:assert/strict';
import { parseMeshFile, parseSidecarFile } from '../../../../sidecar/config/file/parse.js';
import { blocksWith } from '../../../../sidecar/config/file/placement.js';
import { meshFile } from '../../../../sidecar/config/options/mesh-file.js';
import { sidecarFile } from '../../../../sidecar/config/options/sidecar-file.js';

describe('where an option belongs', () => {
  it('is found nearest to the top, below blocks and below maps of blocks', () => {
    assert.deepEqual(blocksWith(sidecarFile, 'upstreams'), ['outbound']);
    assert.deepEqual(blocksWith(sidecarFile, 'routes'), ['inbound']);
    assert.deepEqual(blocksWith(meshFile, 'upstreams'), ['services.NAME', 'caller']);
    assert.deepEqual(blocksWith(meshFile, 'replicas'), ['services.NAME']);
    assert.deepEqual(blocksWith(meshFile, 'none'), []);
  });

  it('is said of one at the top: in this file, or in the other kind', () => {
    const messages = (result: ReturnType<typeof parseMeshFile | typeof parseSidecarFile>) =>
      result.ok
        ? []
        : result.problems
            .filter(({ message }) => message.startsWith('unknown option'))
            .map(({ path, message }) => `${path}: ${message.split('; ').at(-1)}`);
    const mesh = 'services: { a: { models: /x } }\nupstreams: {}\nidentity: {}\nservces: {}\nlimit: {}\n';
    assert.deepEqual(messages(parseMeshFile(mesh, 'f')), [
      'upstreams: set it in services.NAME or caller',
      'identity: it is an option of a sidecar file',
      'servces: did you mean "services"?',
      // One of a sidecar file is called so, below model.restart.
      'limit: did you mean "limits"?',
    ]);
    const sidecar =
      'service: a\ninbound: { listen: 127.0.0.1:1, local: 127.0.0.1:2, mtls: off }\nupstreams: {}\nreplicas: 3\nleaf_lifetime: 1h\n';
    assert.deepEqual(messages(parseSidecarFile(sidecar, 'f')), [
      'upstreams: set it in outbound',
      'replicas: in a mesh file, set it in services.NAME',
      'leaf_lifetime: it is an option of a mesh file',
    ]);
  });

  it('is said of one in a block: one level further down, in blocks and in lists of blocks', () => {
    const problemsWith = (upstream: string) => {
      const text = `services: { a: { models: /x } }\ncaller: { name: c, upstreams: { a: { listen: 127.0.0.1:1, ${upstream} } } }\n`;
      const result = parseMeshFile(text, 'f');
      return result.ok ? [] : result.problems.map(({ message }) => message.split('; ').at(-1));
    };
    assert.deepEqual(problemsWith('timeout: 5s'), ['set it in health or routes[]']);
    assert.deepEqual(problemsWith('idempotent: true'), ['set it in routes[]']);
    assert.deepEqual(problemsWith('consecutive_faults: 3'), ['set it in ejection']);
    assert.deepEqual(problemsWith('ejecton: {}'), ['did you mean "ejection"?']);
    assert.match(problemsWith('nonsense: 1')[0]!, /^expected one of /);
  });
});
