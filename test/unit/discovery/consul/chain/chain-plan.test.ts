/** From Consul's discovery chain to routes and clusters, and what is named as not applied. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { durationIn } from '../../../../../sidecar/discovery/consul/chain/chain-json.js';
import { planOf } from '../../../../../sidecar/discovery/consul/chain/chain-plan.js';
import { compileRe2, type Re2Pattern } from '../../../../../sidecar/discovery/re2-pattern.js';
import { chain, idOf, resolver, router, splitter } from '../../../../kit/consul/chains.js';

const node = (spec: string) => `resolver:${idOf(spec)}`;
const re2 = (source: string) => compileRe2(source) as Re2Pattern;
const MAIN = { split: [{ weight: 1, cluster: '' }] };

describe('A discovery chain', () => {
  it('a discovery chain of a service without any entries is its main cluster', () => {
    const plan = planOf(chain([resolver('web')]));
    assert.deepEqual(plan.routes, [MAIN]);
    assert.deepEqual([...plan.clusters], [['', { targets: [{ service: 'web' }] }]]);
    assert.deepEqual(plan.unsupported, []);
  });

  it('a discovery chain with a redirect reads the endpoints of another service, there', () => {
    const plan = planOf(
      chain([resolver('v2.other.dc9', { connectTimeout: '3s' })], {
        'v2.other.dc9': { Filter: 'Service.Meta.version == v2', OnlyPassing: true },
      }),
    );
    const target = {
      service: 'other',
      datacenter: 'dc9',
      filter: 'Service.Meta.version == v2',
      onlyPassing: true,
      subset: 'v2',
    };
    assert.deepEqual([...plan.clusters.values()], [{ targets: [target], connectTimeoutMs: 3000 }]);
    assert.deepEqual(plan.routes, [{ split: [{ weight: 1, cluster: 'v2.other.default.dc9' }] }]);
  });

  it('a discovery chain with failover has its targets in their order', () => {
    const plan = planOf(
      chain([resolver('web', { failover: ['other.dc2', 'web.dc3'] })], {
        web: {},
        'other.dc2': {},
        'web.dc3': {},
      }),
    );
    assert.deepEqual(plan.clusters.get('')?.targets, [
      { service: 'web' },
      { service: 'other', datacenter: 'dc2' },
      { service: 'web', datacenter: 'dc3' },
    ]);
  });

  it('a discovery chain splits by weight, through splitters behind splitters, and leaves out what gets nothing', () => {
    const plan = planOf(
      chain(
        [
          splitter('web', { [node('v1.web')]: 90, 'splitter:other.default': 10, [node('v3.web')]: 0 }),
          splitter('other', { [node('other')]: 50, [node('v1.web')]: 50 }),
          resolver('v1.web'),
          resolver('v3.web'),
          resolver('other'),
        ],
        { 'v1.web': {}, 'v3.web': {}, other: {} },
      ),
    );
    assert.deepEqual(plan.routes, [
      {
        split: [
          { weight: 0.9, cluster: 'v1.web.default.dc1' },
          { weight: 0.05, cluster: 'other.default.dc1' },
          { weight: 0.05, cluster: 'v1.web.default.dc1' },
        ],
      },
    ]);
    assert.deepEqual([...plan.clusters.keys()], ['v1.web.default.dc1', 'other.default.dc1']);
  });

  it('a discovery chain routes by path, metadata and method', () => {
    const plan = planOf(
      chain([
        router(
          'web',
          [
            { match: { PathExact: '/a.B/C' }, next: node('web') },
            { match: { PathPrefix: '/a.B/', Methods: ['GET', 'POST'] }, next: node('web') },
            { match: { PathRegex: '/a.[BC]/.*' }, next: node('web') },
            {
              match: {
                Header: [
                  { Name: 'X-Exact', Exact: 'yes' },
                  { Name: 'x-prefix', Prefix: 'a', Invert: true },
                  { Name: 'x-suffix', Suffix: 'b' },
                  { Name: 'x-regex', Regex: '(?i)c+' },
                  { Name: 'x-there', Present: true },
                ],
              },
              next: node('web'),
            },
            { match: { PathExact: '/a.B/C', CaseInsensitive: true }, next: node('web') },
            { match: { PathPrefix: '/a.B', CaseInsensitive: true }, next: node('web') },
          ],
          node('web'),
        ),
        resolver('web'),
      ]),
    );
    assert.deepEqual(plan.routes, [
      { ...MAIN, match: { exact: '/a.B/C', headers: [] } },
      { ...MAIN, match: { prefix: '/a.B/', headers: [] } },
      { ...MAIN, match: { regex: re2('/a.[BC]/.*'), headers: [] } },
      {
        ...MAIN,
        match: {
          headers: [
            { name: 'x-exact', exact: 'yes', invert: false },
            { name: 'x-prefix', prefix: 'a', invert: true },
            { name: 'x-suffix', suffix: 'b', invert: false },
            { name: 'x-regex', regex: re2('(?i)c+'), invert: false },
            { name: 'x-there', present: true, invert: false },
          ],
        },
      },
      { ...MAIN, match: { exact: '/a.B/C', ignoreCase: true, headers: [] } },
      { ...MAIN, match: { prefix: '/a.B', ignoreCase: true, headers: [] } },
      MAIN,
    ]);
    assert.deepEqual(plan.unsupported, []);
  });

  it('a discovery chain matches patterns in linear time', () => {
    const route = { match: { PathRegex: '/(a+)+.S/M' }, next: node('web') };
    const { routes } = planOf(chain([router('web', [route], node('web')), resolver('web')]));
    const pattern = routes[0]!.match!.regex!;
    assert.ok(pattern.test('/aaa.S/M'));
    // With JavaScript's own expressions this would not end within the test's life.
    assert.ok(!pattern.test(`/${'a'.repeat(60)}.S/N`));
  });

  const destination = (
    said: Record<string, unknown>,
    match: Record<string, unknown> = { PathPrefix: '/a.B/' },
  ) => {
    const plan = planOf(
      chain([router('web', [{ match, destination: said, next: node('web') }], node('web')), resolver('web')]),
    );
    return { route: plan.routes[0], unsupported: plan.unsupported };
  };

  it('a discovery chain has timeouts, retries and path rewrites', () => {
    const said = {
      RequestTimeout: '1m30s',
      NumRetries: 3,
      RetryOnConnectFailure: true,
      RetryOnStatusCodes: [503],
      PrefixRewrite: '/c.D/',
    };
    const { route, unsupported } = destination(said);
    assert.equal(route?.timeoutMs, 90_000);
    assert.deepEqual(route?.retry, { attempts: 4, on: [14] });
    assert.equal(route?.rewrite, '/c.D/');
    assert.deepEqual(unsupported, []);
    assert.deepEqual(destination({ RetryOnStatusCodes: [502] }).route?.retry, { attempts: 2, on: [14] });
    assert.deepEqual(
      destination({ RetryOn: ['unavailable', 'resource-exhausted', 'connect-failure'] }).route?.retry,
      {
        attempts: 2,
        on: [14, 8],
      },
    );
    assert.equal(destination({ RetryOnConnectFailure: true, NumRetries: 2 }).route?.retry, undefined);
    assert.deepEqual(destination({ PrefixRewrite: '/c.D/' }, { PathPrefix: '/' }).route?.match, {
      prefix: '/',
      headers: [],
    });
  });

  it('a discovery chain reports what of a route is not applied', () => {
    const where = 'service-router "web", route 1';
    for (const [said, sentence] of [
      [{ RetryOnStatusCodes: [503, 500] }, `${where}: RetryOnStatusCodes "500" has no counterpart in gRPC.`],
      [{ RetryOn: ['retriable-4xx'] }, `${where}: RetryOn "retriable-4xx" has no counterpart in gRPC.`],
      [{ RequestHeaders: { Add: { a: 'b' } } }, `${where}: Destination.RequestHeaders is not applied.`],
      [{ ResponseHeaders: { Remove: ['a'] } }, `${where}: Destination.ResponseHeaders is not applied.`],
      [{ IdleTimeout: '3s' }, `${where}: Destination.IdleTimeout is not applied.`],
    ] as const) {
      assert.deepEqual(destination(said).unsupported, [sentence]);
    }
    assert.deepEqual(destination({ PrefixRewrite: '/x/' }, { PathRegex: '.*' }).unsupported, [
      `${where}: Destination.PrefixRewrite is not applied to a path that is a pattern.`,
    ]);
  });

  it('a discovery chain leaves out routes that no call of gRPC can match, and reports them', () => {
    for (const [match, why] of [
      [{ Methods: ['GET'] }, 'Match.HTTP.Methods is without POST'],
      [
        { QueryParam: [{ Name: 'a', Present: true }] },
        'Match.HTTP.QueryParam asks for a query, which no call of gRPC has',
      ],
      [{ PathRegex: '(' }, 'Match.HTTP.PathRegex "(" has missing closing ) at "("'],
      [{ Header: [{ Name: 'a', Regex: '[' }] }, 'Match.HTTP.Header "a" "[" has missing closing ] at "["'],
      [{ Header: [{ Exact: 'a' }] }, 'Match.HTTP.Header is without a Name'],
    ] as const) {
      const { route, unsupported } = destination({}, match);
      assert.deepEqual(route, MAIN);
      assert.deepEqual(unsupported, [`service-router "web", route 1 is left out: ${why}.`]);
    }
  });

  it('a discovery chain applies the timeout of a resolver where its route has none', () => {
    const slow = resolver('web', { connectTimeout: '2s', more: { RequestTimeout: '7s' } });
    assert.deepEqual(planOf(chain([slow])).routes, [{ ...MAIN, timeoutMs: 7000 }]);
    const mixed = chain(
      [splitter('web', { [node('web')]: 50, [node('other')]: 50 }), slow, resolver('other')],
      { web: {}, other: {} },
    );
    assert.match(planOf(mixed).unsupported[0]!, /RequestTimeouts of its resolvers differ/);
  });

  it('a discovery chain sticks by the first header of a hash policy', () => {
    const balanced = (loadBalancer: Record<string, unknown>) =>
      planOf(chain([resolver('web', { loadBalancer })]));
    const header = { Field: 'header', FieldValue: 'X-Session' };
    assert.equal(
      balanced({ Policy: 'ring_hash', HashPolicies: [header] }).clusters.get('')?.hashKey,
      'x-session',
    );
    const more = balanced({
      Policy: 'maglev',
      HashPolicies: [{ Field: 'cookie', FieldValue: 'c' }, header, { SourceIP: true }],
    });
    assert.equal(more.clusters.get('')?.hashKey, 'x-session');
    assert.deepEqual(more.unsupported, [
      'service-resolver "web": of LoadBalancer.HashPolicies only the first header is applied.',
    ]);
    assert.deepEqual(balanced({ Policy: 'least_request' }).unsupported, []);
    assert.match(balanced({ Policy: 'round_robin' }).unsupported[0]!, /Policy "round_robin" is not applied/);
  });

  it('a discovery chain leaves out targets that cannot be reached, and reports gateways', () => {
    const plan = planOf(
      chain(
        [
          resolver('web', {
            failover: ['web.dc2', 'peered', 'spaced', 'outside'],
            failoverMore: { Policy: { Mode: 'order-by-locality' } },
          }),
        ],
        {
          web: {},
          'web.dc2': { MeshGateway: { Mode: 'local' } },
          peered: { Peer: 'other' },
          spaced: { Namespace: 'other' },
          outside: { External: true },
        },
      ),
    );
    assert.deepEqual(
      plan.clusters.get('')?.targets.map(({ service }) => service),
      ['web', 'web', 'outside'],
    );
    assert.equal(plan.unsupported.length, 5);
    assert.match(plan.unsupported.join(' '), /Failover.Policy is not applied/);
    assert.match(
      plan.unsupported.join(' '),
      /"web.default.dc2": MeshGateway.Mode "local" is not applied, connections are direct/,
    );
    assert.match(plan.unsupported.join(' '), /"outside.default.dc1": its ExternalSNI/);
  });

  it('a discovery chain does not report a gateway mode that makes no difference', () => {
    assert.deepEqual(
      planOf(chain([resolver('web')], { web: { MeshGateway: { Mode: 'local' } } })).unsupported,
      [],
    );
  });

  for (const [what, text] of [
    ['no JSON', 'nonsense'],
    ['another answer', '{"Services":{}}'],
    ['a chain without a start', '{"Chain":{"Nodes":{},"Targets":{}}}'],
    ['a node of another kind', chain([['gateway:web', { Type: 'gateway' }]])],
    ['a node that leads to nothing', chain([router('web', [], 'resolver:gone')])],
    ['a target that is not there', chain([resolver('web')], {})],
    ['a splitter without splits', chain([splitter('web', {})])],
    ['a splitter in a circle', chain([splitter('web', { 'splitter:web.default': 100 })])],
    [
      'splitters that multiply',
      chain([
        splitter('web', { 'splitter:web.default': 50, 'splitter:other.default': 50 }),
        splitter('other', { 'splitter:web.default': 50, 'splitter:other.default': 50 }),
      ]),
    ],
    ['a router behind a router', chain([router('web', [], 'router:web.default')])],
  ] as const) {
    it(`a discovery chain is refused when it is ${what}`, () => {
      assert.throws(() => planOf(text), Error);
    });
  }

  it('a discovery chain of any shape is read or refused, and nothing else', () => {
    const nonsense = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(null, true, 0, -1, 1e300, '', 'web', 'resolver', 'router:web.default'),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(
          fc.constantFrom(
            'Type',
            'Routes',
            'Splits',
            'Resolver',
            'Target',
            'Definition',
            'Match',
            'HTTP',
            'Header',
            'NextNode',
            'Weight',
            'Failover',
            'Targets',
            'Name',
            'LoadBalancer',
            'HashPolicies',
          ),
          tie('value'),
          { maxKeys: 4 },
        ),
      ),
    }));
    fc.assert(
      fc.property(nonsense.value, nonsense.value, nonsense.value, (start, next, to) => {
        const Nodes = { 'router:web.default': start, 'resolver:web': next, '': start };
        const text = JSON.stringify({
          Chain: {
            ServiceName: 'web',
            Datacenter: 'dc1',
            StartNode: 'router:web.default',
            Nodes,
            Targets: { web: to, '': to },
          },
        });
        try {
          const plan = planOf(text);
          for (const { split } of plan.routes)
            for (const { cluster } of split) assert.ok(plan.clusters.has(cluster));
        } catch (error) {
          assert.ok(
            error instanceof Error && !(error instanceof TypeError || error instanceof assert.AssertionError),
            String(error),
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  it('durations of a discovery chain are read as Go writes them', () => {
    for (const [text, ms] of [
      ['5s', 5000],
      ['1m30s', 90_000],
      ['1h0m0s', 3_600_000],
      ['250ms', 250],
      ['1.5s', 1500],
      ['100µs', 0.1],
    ] as const)
      assert.equal(durationIn({ a: text }, 'a'), ms);
    for (const none of ['', '0s', '5', 's', '-5s', '5 s', 5, null])
      assert.equal(durationIn({ a: none }, 'a'), undefined);
  });
});
