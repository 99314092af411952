import assert from 'node:assert/strict';
import {
  areReadOnly,
  isValidPath,
  isValidPattern,
  KNOWN_STREAMS,
  KNOWN_UNARY,
  RouteTable,
} from '../../../../sidecar/core/routing/method.js';

describe('isValidPath', () => {
  const methods = ['/inference.GRPCInferenceService/ModelInfer', '/grpc.health.v1.Health/Check'];
  for (const path of [...methods, '/Greeter/SayHello', '/a.b_c.D1/e_2'])
    it(`takes ${path}`, () => assert.equal(isValidPath(path), true));

  const refused = {
    'too few parts': ['', '/', '//', '*', 'pkg.Service/Method', '/pkg.Service', '/pkg.Service/', '//Method'],
    'too many slashes': ['//pkg.Service/Method', '/pkg.Service//Method', '/pkg.Service/Method/'],
    'too many': ['/pkg.Service/M/More'],
    dots: ['/../Method', '/pkg.Service/..', '/./Method', '/pkg..Service/Method', '/.pkg.Service/Method'],
    'more dots': ['/pkg.Service./Method', '/pkg.Service/../Other', '/pkg.Service/Me.thod'],
    escapes: ['/pkg.Service%2fMethod', '/pkg.Service/Method%00', '/pkg.Service/Method?x=1'],
    signs: ['/pkg.Service/Method#x', '/pkg.Service;x/Method', '/pkg.Service\\Method/x', '/pkg.Service/*'],
    spaces: ['/pkg.Service/Method\n', ' /pkg.Service/Method', '/pkg.Service/Method '],
    others: ['/pkg.Sérvice/Method', 'http://host/pkg.Service/Method', `/pkg.Service/${'M'.repeat(1_024)}`],
  };
  for (const [why, paths] of Object.entries(refused))
    for (const path of paths)
      it(`refuses ${JSON.stringify(path.slice(0, 40))} (${why})`, () =>
        assert.equal(isValidPath(path), false));

  it('refuses a path made to be slow to match, at once', () => {
    for (let dots = 1; dots < 500; dots += 1) assert.equal(isValidPath(`/${'a.'.repeat(dots)}!`), false);
  });
});

describe('isValidPattern', () => {
  for (const pattern of ['*', '/pkg.Service/*', '/pkg.Service/Method'])
    it(`takes ${pattern}`, () => assert.equal(isValidPattern(pattern), true));
  const refused = ['', '/*', '/*/*', '/pkg.*/Method', '/pkg.Service/Met*', '/pkg.Service', '**'];
  for (const pattern of [...refused, '/pkg.Service/**'])
    it(`refuses "${pattern}"`, () => assert.equal(isValidPattern(pattern), false));
});

describe('RouteTable', () => {
  const route = (name: string, ...methods: string[]) => ({ name, methods });

  it('answers with the first route that matches', () => {
    const routes = new RouteTable([
      route('infer', '/p.S/Infer'),
      route('service', '/p.S/*', '/q.S/Only'),
      route('hidden', '/p.S/Live'),
      route('rest', '*'),
      route('never', '/q.S/*'),
    ]);
    const paths = ['/p.S/Infer', '/p.S/Live', '/q.S/Only', '/q.S/Other', '/r.T/Any'];
    const names = paths.map((path) => routes.match(path)?.name);
    assert.deepEqual(names, ['infer', 'service', 'service', 'rest', 'rest']);
  });

  it('puts a wildcard first when it comes first', () => {
    const routes = new RouteTable([route('all', '*'), route('one', '/p.S/M')]);
    assert.equal(routes.match('/p.S/M')?.name, 'all');
  });

  it('has no answer when nothing matches', () => {
    const routes = new RouteTable([route('one', '/p.S/M')]);
    for (const path of ['/p.S/N', '/p.S/', '/p.S', '/p.SX/M', '', '__proto__', '/constructor/M'])
      assert.equal(routes.match(path), undefined, path);
    assert.equal(new RouteTable([]).match('/p.S/M'), undefined);
  });

  it('keeps services apart whose names begin alike', () => {
    const routes = new RouteTable([route('one', '/p.S/*')]);
    assert.equal(routes.match('/p.Service/M'), undefined);
    assert.equal(routes.match('/p.S/M')?.name, 'one');
  });

  it('knows which paths a route has exactly', () => {
    const routes = new RouteTable([route('one', '/p.S/M', '/q.T/*')]);
    const named = ['/p.S/M', '/q.T/M', '*'].map((path) => routes.names(path));
    assert.deepEqual(named, [true, false, false]);
  });

  it('refuses a pattern of another form', () =>
    assert.throws(() => new RouteTable([route('bad', '/p.S/Met*')]), /not a method pattern/));
});

describe('KNOWN_UNARY', () => {
  it('has the inference of three protocols, and nine methods without side effects, all valid paths', () => {
    assert.equal(KNOWN_UNARY.size, 17);
    const readOnly = [...KNOWN_UNARY].filter((path) => areReadOnly([path]));
    assert.equal(readOnly.length, 9);
    assert.equal(areReadOnly([...KNOWN_UNARY]), false);
    for (const none of [[], ['*'], ['/inference.GRPCInferenceService/*'], ['/grpc.health.v1.Health/Watch']])
      assert.equal(areReadOnly(none), false);
    for (const path of KNOWN_UNARY) assert.ok(isValidPath(path));
  });
  it('has inference of TensorFlow Serving and of TorchServe, by their published definitions', () => {
    assert.ok(KNOWN_UNARY.has('/tensorflow.serving.PredictionService/Predict'));
    assert.ok(KNOWN_UNARY.has('/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions'));
  });
  it('has no method that is known to be a stream', () => {
    for (const path of KNOWN_STREAMS) assert.ok(isValidPath(path) && !KNOWN_UNARY.has(path), path);
  });
});
