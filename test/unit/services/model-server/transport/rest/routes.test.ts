import assert from 'node:assert/strict';
import { routeOf } from '../../../../../../services/model-server/transport/rest/routes.js';

describe('paths of the REST half', () => {
  for (const [verb, path, method, model, version] of [
    ['GET', '/v2', 'ServerMetadata', '', ''],
    ['GET', '/v2/', 'ServerMetadata', '', ''],
    ['GET', '/v2/health/ready', 'ServerReady', '', ''],
    ['GET', '/v2/models/stats', 'ModelStatistics', '', ''],
    ['POST', '/v2/repository/index', 'RepositoryIndex', '', ''],
    ['GET', '/v2/models/digits', 'ModelMetadata', 'digits', ''],
    ['GET', '/v2/models/digits/versions/3', 'ModelMetadata', 'digits', '3'],
    ['GET', '/v2/models/a%2Fb/ready', 'ModelReady', 'a/b', ''],
    ['POST', '/v2/models/digits/versions/3/infer', 'ModelInfer', 'digits', '3'],
    ['POST', '/v2/repository/models/digits/load', 'RepositoryModelLoad', 'digits', ''],
    ['POST', '/v2/repository/models/digits/unload', 'RepositoryModelUnload', 'digits', ''],
  ] as const)
    it(`${verb} ${path} is ${method}`, () => {
      assert.deepEqual(routeOf(verb, path), { method, model, version });
    });

  for (const [verb, path] of [
    ['POST', '/v2'],
    ['GET', '/v2/models/digits/infer'],
    ['GET', '/v2/models/digits/other'],
    ['GET', '/v2/models//infer'],
    ['DELETE', '/v2/models/digits'],
    ['GET', '/v2/repository/models/digits/load'],
    ['GET', '/v3'],
    ['GET', ''],
  ] as const)
    it(`${verb} ${path} is none`, () => {
      assert.equal(routeOf(verb, path), undefined);
    });

  it('a name that is no percent-encoded text is refused', () => {
    assert.throws(() => routeOf('GET', '/v2/models/%ff'), /path: found '%ff', expected percent-encoded text/);
  });

  it('looks at each character of a long path a few times at most', () => {
    // Quadratic work takes 1.5 s for this one, and 90 ms for a path of 16 KB.
    const path = `/v2${'/'.repeat(64 * 1024)}x`;
    const startMs = performance.now();
    for (let i = 0; i < 20; i++) assert.equal(routeOf('GET', path), undefined);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < 1_000, `20 such paths took ${Math.round(tookMs)} ms`);
    assert.equal(routeOf('GET', `/v2${'/'.repeat(64 * 1024)}`)?.method, 'ServerMetadata');
  });
});
