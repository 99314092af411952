import assert from 'node:assert/strict';
import { vllmService } from '../../../../../proto/vllm-service.js';
import { meshFileText } from '../../../../../sidecar/cli/chaos/arms/mesh-file.js';
import { attemptsIn, viewsOf } from '../../../../../sidecar/cli/chaos/arms/outrider.js';
import { RETRY_CONFIG, rotated, STOCK_ARMS } from '../../../../../sidecar/cli/chaos/arms/stock.js';
import { inferMethods } from '../../../../../sidecar/cli/chaos/protocol/service.js';
import { parseMeshFile } from '../../../../../sidecar/config/file/parse.js';

describe('the arms of chaos', () => {
  it('without a mesh begin with another replica for each client', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((n) => rotated(['a', 'b', 'c'], n).join('')),
      ['abc', 'bca', 'cab', 'abc'],
    );
    assert.deepEqual(
      STOCK_ARMS.map(({ name }) => name),
      ['pick-first', 'round-robin'],
    );
  });

  it('try again only what may be done twice: the job is in no policy', () => {
    const services = RETRY_CONFIG.methodConfig.flatMap(({ name }) => name.map(({ service }) => service));
    const paths = [inferMethods().ModelInfer.path, vllmService().Generate.path];
    assert.deepEqual(
      services,
      paths.map((path) => path.split('/')[1]),
    );
  });

  it('with Outrider have a valid mesh file', () => {
    const parsed = parseMeshFile(meshFileText(['program', '{replica}', '{address}']), 'mesh.yaml');
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.deepEqual(parsed.warnings, []);
  });

  it('with Outrider see a replica as the best of its endpoints', () => {
    const at = (endpoint: string, state: Parameters<typeof viewsOf>[0][number]['state'], why = '') => ({
      endpoint,
      state,
      why,
    });
    const views = viewsOf([
      at('models-1', 'ejected', 'refused'),
      at('models-1', 'eligible'),
      at('models-2', 'probing'),
      at('models-2', 'ejected', 'refused'),
      at('models-3', 'ejected', 'refused'),
    ]);
    assert.deepEqual(
      views.map(({ replica, isIn, isReady, why }) => [replica, isIn, isReady, why]),
      [
        ['replica-1', true, true, 'eligible'],
        ['replica-2', true, false, 'probing'],
        ['replica-3', false, false, 'refused'],
      ],
    );
  });

  it('count attempts over all labels', () => {
    const page =
      'outrider_attempts_total{endpoint="a"} 3\noutrider_attempts_total{endpoint="b"} 4\noutrider_other 9\n';
    assert.equal(attemptsIn(page), 7);
  });
});
