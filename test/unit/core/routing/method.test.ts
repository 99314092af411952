import assert from 'node:assert/strict';
import {
  areReadOnly,
  isKnownUnary,
  isValidPath,
  isValidPattern,
  KNOWN_UNARY,
  RouteTable,
} from '../../../../sidecar/core/routing/method.js';

describe('isValidPath', () => {
  for (const path of [
    '/inference.GRPCInferenceService/ModelInfer',
    '/grpc.health.v1.Health/Check',
    '/Greeter/SayHello',
    '/a.b_c.D1/e_2',
  ]) {
    it(`takes ${path}`, () => assert.equal(isValidPath(path), true));
  }

  for (const path of [
    '',
    '/',
    '//',
    '*',
    'pkg.Service/Method',
    '/pkg.Service',
    '/pkg.Service/',
    '//Method',
    '//pkg.Service/Method',
    '/pkg.Service//Method',
    '/pkg.Service/Method/',
    '/pkg.Service/Method/More',
    '/../Method',
    '/pkg.Service/..',
    '/./Method',
    '/pkg..Service/Method',
    '/.pkg.Service/Method',
    '/pkg.Service./Method',
    '/pkg.Service/../Other',
    '/pkg.Service%2fMethod',
    '/pkg.Service/Method%00',
    '/pkg.Service/Me.thod',
    '/pkg.Service/Method?x=1',
    '/pkg.Service/Method#x',
    '/pkg.Service;x/Method',
    '/pkg.Service\\Method/x',
    '/pkg.Service/Method\n',
    ' /pkg.Service/Method',
    '/pkg.Service/Method ',
    '/pkg.Sérvice/Method',
    '/pkg.Service/*',
    'http://host/pkg.Service/Method',
    `/pkg.Service/${'M'.repeat(1_024)}`,
  ]) {
    it(`refuses ${JSON.stringify(path.slice(0, 40))}`, () => assert.equal(isValidPath(path), false));
  }

  it('refuses a path made to be slow to match, at once', () => {
    for (let dots = 1; dots < 500; dots += 1) assert.equal(isValidPath(`/${'a.'.repeat(dots)}!`), false);
  });
});

describe('isValidPattern', () => {
  for (const pattern of ['*', '/pkg.Service/*', '/pkg.Service/Method']) {
    it(`takes ${pattern}`, () => assert.equal(isValidPattern(pattern), true));
  }
  for (const pattern of [
    '',
    '/*',
    '/*/*',
    '/pkg.*/Method',
    '/pkg.Service/Met*',
    '/pkg.Service',
    '**',
    '/pkg.Service/**',
  ]) {
    it(`refuses "${pattern}"`, () => assert.equal(isValidPattern(pattern), false));
  }
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
    const name = (path: string): string | undefined => routes.match(path)?.name;
    assert.equal(name('/p.S/Infer'), 'infer');
    assert.equal(name('/p.S/Live'), 'service');
    assert.equal(name('/q.S/Only'), 'service');
    assert.equal(name('/q.S/Other'), 'rest');
    assert.equal(name('/r.T/Any'), 'rest');
  });

  it('puts a wildcard first when it comes first', () => {
    const routes = new RouteTable([route('all', '*'), route('one', '/p.S/M')]);
    assert.equal(routes.match('/p.S/M')?.name, 'all');
  });

  it('has no answer when nothing matches', () => {
    const routes = new RouteTable([route('one', '/p.S/M')]);
    for (const path of ['/p.S/N', '/p.S/', '/p.S', '/p.SX/M', '', '__proto__', '/constructor/M']) {
      assert.equal(routes.match(path), undefined, path);
    }
    assert.equal(new RouteTable([]).match('/p.S/M'), undefined);
  });

  it('keeps services apart whose names begin alike', () => {
    const routes = new RouteTable([route('one', '/p.S/*')]);
    assert.equal(routes.match('/p.Service/M'), undefined);
    assert.equal(routes.match('/p.S/M')?.name, 'one');
  });

  it('knows which paths a route has exactly', () => {
    const routes = new RouteTable([route('one', '/p.S/M', '/q.T/*')]);
    assert.deepEqual(
      [routes.names('/p.S/M'), routes.names('/q.T/M'), routes.names('*')],
      [true, false, false],
    );
  });

  it('refuses a pattern of another form', () => {
    assert.throws(() => new RouteTable([route('bad', '/p.S/Met*')]), /not a method pattern/);
  });
});

describe('isKnownUnary', () => {
  it('has the inference, nine methods without side effects, and Check among those, all valid paths', () => {
    assert.equal(KNOWN_UNARY.size, 10);
    const readOnly = [...KNOWN_UNARY].filter((path) => areReadOnly([path]));
    assert.equal(readOnly.length, 9);
    assert.equal(areReadOnly([...KNOWN_UNARY]), false);
    for (const none of [[], ['*'], ['/inference.GRPCInferenceService/*'], ['/grpc.health.v1.Health/Watch']])
      assert.equal(areReadOnly(none), false);
    for (const path of KNOWN_UNARY) assert.ok(isValidPath(path) && isKnownUnary(path));
  });
  it('does not have Watch, which is a stream', () =>
    assert.equal(isKnownUnary('/grpc.health.v1.Health/Watch'), false));
});
