/** From Consul's discovery chain to routes and clusters, and what is named as not applied. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { durationIn } from '../../../../../sidecar/discovery/consul/chain/chain-json.js';
import { isPlain, planOf } from '../../../../../sidecar/discovery/consul/chain/chain-plan.js';
import { compileRe2, type Re2Pattern } from '../../../../../sidecar/discovery/re2-pattern.js';
import { chain, idOf, resolver, router, splitter } from '../../../../kit/consul/chains.js';

const node = (spec: string) => `resolver:${idOf(spec)}`;
const re2 = (source: string) => compileRe2(source) as Re2Pattern;
const HALVES = { 'splitter:web.default': 50, 'splitter:other.default': 50 };
const MAIN = { split: [{ weight: 1, cluster: '' }] };

describe('A discovery chain', () => {
  it('a discovery chain of a service without any entries is its main cluster', () => {
    const plan = planOf(chain([resolver('web')]));
    assert.deepEqual(plan.routes, [MAIN]);
    assert.deepEqual([...plan.clusters], [['', { targets: [{ service: 'web' }] }]]);
    assert.deepEqual(plan.unsupported, []);
  });

  it('a discovery chain with a redirect reads the endpoints of another service, there', () => {
    const filter = 'Service.Meta.version == v2';
    const targets = { 'v2.other.dc9': { Filter: filter, OnlyPassing: true } };
    const plan = planOf(chain([resolver('v2.other.dc9', { connectTimeout: '3s' })], targets));
    const target = { service: 'other', datacenter: 'dc9', filter, onlyPassing: true, subset: 'v2' };
    assert.deepEqual([...plan.clusters.values()], [{ targets: [target], connectTimeoutMs: 3000 }]);
    assert.deepEqual(plan.routes, [{ split: [{ weight: 1, cluster: 'v2.other.default.dc9' }] }]);
  });

  it('a discovery chain with failover has its targets in their order', () => {
    const targets = { web: {}, 'other.dc2': {}, 'web.dc3': {} };
    const plan = planOf(chain([resolver('web', { failover: ['other.dc2', 'web.dc3'] })], targets));
    assert.deepEqual(plan.clusters.get('')?.targets, [
      { service: 'web' },
      { service: 'other', datacenter: 'dc2' },
      { service: 'web', datacenter: 'dc3' },
    ]);
  });

  it('a discovery chain splits by weight, through splitters behind splitters, and leaves out what gets nothing', () => {
    const nodes = [
      splitter('web', { [node('v1.web')]: 90, 'splitter:other.default': 10, [node('v3.web')]: 0 }),
      splitter('other', { [node('other')]: 50, [node('v1.web')]: 50 }),
      ...['v1.web', 'v3.web', 'other'].map((spec) => resolver(spec)),
    ];
    const plan = planOf(chain(nodes, { 'v1.web': {}, 'v3.web': {}, other: {} }));
    const split = [
      { weight: 0.9, cluster: 'v1.web.default.dc1' },
      { weight: 0.05, cluster: 'other.default.dc1' },
      { weight: 0.05, cluster: 'v1.web.default.dc1' },
    ];
    assert.deepEqual(plan.routes, [{ split }]);
    assert.deepEqual([...plan.clusters.keys()], ['v1.web.default.dc1', 'other.default.dc1']);
  });

  it('a discovery chain edits the headers of each leg of a splitter, before those of the route', () => {
    const set = (value: string) => ({ Set: { 'x-leg': value } });
    const Splits = [
      {
        Weight: 60,
        NextNode: node('v1.web'),
        Definition: { RequestHeaders: set('v1'), ResponseHeaders: set('v1') },
      },
      { Weight: 40, NextNode: node('other'), Definition: { RequestHeaders: { Add: { te: 'x' } } } },
    ];
    const destination = { RequestHeaders: { Add: { 'x-route': 'yes' } } };
    const plan = planOf(
      chain(
        [
          router('web', [{ destination, next: 'splitter:web.default' }], 'splitter:web.default'),
          ['splitter:web.default', { Type: 'splitter', Name: 'web.default', Splits }],
          ...['v1.web', 'other'].map((spec) => resolver(spec)),
        ],
        { 'v1.web': {}, other: {} },
      ),
    );
    const added = { remove: [], set: [], add: [['x-route', 'yes']] };
    const leg = { remove: [], set: [['x-leg', 'v1']], add: [] };
    const [first, second] = plan.routes[0]!.split;
    assert.deepEqual(first!.route!.requestHeaders, { ...added, set: leg.set });
    assert.deepEqual(first!.route!.responseHeaders, leg);
    assert.deepEqual(plan.routes[0]!.requestHeaders, added);
    assert.equal(second!.route, undefined);
    assert.match(plan.unsupported[0]!, /Splits.RequestHeaders.Add "te" is not applied/);
  });

  it('a discovery chain routes by path, metadata and method', () => {
    const said = [
      { Name: 'X-Exact', Exact: 'yes' },
      { Name: 'x-prefix', Prefix: 'a', Invert: true },
      { Name: 'x-suffix', Suffix: 'b' },
      { Name: 'x-regex', Regex: '(?i)c+' },
      { Name: 'x-there', Present: true },
    ];
    const headers = [
      { name: 'x-exact', exact: 'yes', invert: false },
      { name: 'x-prefix', prefix: 'a', invert: true },
      { name: 'x-suffix', suffix: 'b', invert: false },
      { name: 'x-regex', regex: re2('(?i)c+'), invert: false },
      { name: 'x-there', present: true, invert: false },
    ];
    const cases = [
      [{ PathExact: '/a.B/C' }, { exact: '/a.B/C', headers: [] }],
      [
        { PathPrefix: '/a.B/', Methods: ['GET', 'POST'] },
        { prefix: '/a.B/', headers: [] },
      ],
      [{ PathRegex: '/a.[BC]/.*' }, { regex: re2('/a.[BC]/.*'), headers: [] }],
      [{ Header: said }, { headers }],
      [
        { PathExact: '/a.B/C', CaseInsensitive: true },
        { exact: '/a.B/C', ignoreCase: true, headers: [] },
      ],
      [
        { PathPrefix: '/a.B', CaseInsensitive: true },
        { prefix: '/a.B', ignoreCase: true, headers: [] },
      ],
    ] as const;
    const routes = cases.map(([match]) => ({ match, next: node('web') }));
    const plan = planOf(chain([router('web', routes, node('web')), resolver('web')]));
    assert.deepEqual(plan.routes, [...cases.map(([, match]) => ({ ...MAIN, match })), MAIN]);
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
    const nodes = [
      router('web', [{ match, destination: said, next: node('web') }], node('web')),
      resolver('web'),
    ];
    const { routes, unsupported } = planOf(chain(nodes));
    return { route: routes[0], unsupported };
  };

  it('a discovery chain has timeouts, retries and path rewrites', () => {
    const retries = { NumRetries: 3, RetryOnConnectFailure: true, RetryOnStatusCodes: [503] };
    const said = { RequestTimeout: '1m30s', ...retries, PrefixRewrite: '/c.D/' };
    const { route, unsupported } = destination(said);
    assert.deepEqual([route?.timeoutMs, route?.rewrite, unsupported], [90_000, '/c.D/', []]);
    assert.deepEqual(route?.retry, { attempts: 4, on: [14] });
    for (const [how, retry] of [
      [{ RetryOnStatusCodes: [502] }, { attempts: 2, on: [14] }],
      [{ RetryOn: ['unavailable', 'resource-exhausted', 'connect-failure'] }, { attempts: 2, on: [14, 8] }],
      [{ RetryOnConnectFailure: true, NumRetries: 2 }, undefined],
    ] as const)
      assert.deepEqual(destination(how).route?.retry, retry);
    const { match } = destination({ PrefixRewrite: '/c.D/' }, { PathPrefix: '/' }).route!;
    assert.deepEqual(match, { prefix: '/', headers: [] });
  });

  it('a discovery chain has idle timeouts and changes of headers', () => {
    const said = {
      IdleTimeout: '90s',
      RequestHeaders: { Add: { 'X-Tier': 'gold' }, Set: { 'x-from': '100%%' }, Remove: ['X-Old'] },
      ResponseHeaders: { Remove: ['server'] },
    };
    const { route, unsupported } = destination(said);
    assert.deepEqual([route?.idleTimeoutMs, unsupported], [90_000, []]);
    assert.deepEqual(route?.requestHeaders, {
      remove: ['x-old'],
      set: [['x-from', '100%']],
      add: [['x-tier', 'gold']],
    });
    assert.deepEqual(route?.responseHeaders, { remove: ['server'], set: [], add: [] });
  });

  it('a discovery chain reports what of a route is not applied', () => {
    const where = 'service-router "web", route 1';
    for (const [said, sentence] of [
      [{ RetryOnStatusCodes: [503, 500] }, `${where}: RetryOnStatusCodes "500" has no counterpart in gRPC.`],
      [{ RetryOn: ['retriable-4xx'] }, `${where}: RetryOn "retriable-4xx" has no counterpart in gRPC.`],
      [
        { RequestHeaders: { Add: { te: 'b' } } },
        `${where}: Destination.RequestHeaders.Add "te" is not applied: it belongs to HTTP/2, gRPC or the mesh.`,
      ],
      [
        { ResponseHeaders: { Remove: ['grpc-status'] } },
        `${where}: Destination.ResponseHeaders.Remove "grpc-status" is not applied: it belongs to HTTP/2, gRPC or the mesh.`,
      ],
    ] as const) {
      assert.deepEqual(destination(said).unsupported, [sentence]);
    }
    assert.deepEqual(destination({ PrefixRewrite: '/x/' }, { PathRegex: '.*' }).unsupported, [
      `${where}: Destination.PrefixRewrite is not applied to a path that is a pattern.`,
    ]);
  });

  it('a discovery chain leaves out routes that no call of gRPC can match, and reports them', () => {
    const query = 'Match.HTTP.QueryParam asks for a query, which no call of gRPC has';
    for (const [match, why] of [
      [{ Methods: ['GET'] }, 'Match.HTTP.Methods is without POST'],
      [{ QueryParam: [{ Name: 'a', Present: true }] }, query],
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
    const split = splitter('web', { [node('web')]: 50, [node('other')]: 50 });
    const mixed = chain([split, slow, resolver('other')], { web: {}, other: {} });
    assert.match(planOf(mixed).unsupported[0]!, /RequestTimeouts of its resolvers differ/);
  });

  it('a discovery chain sticks by the first header of a hash policy', () => {
    const balanced = (loadBalancer: Record<string, unknown>) =>
      planOf(chain([resolver('web', { loadBalancer })]));
    const header = { Field: 'header', FieldValue: 'X-Session' };
    const one = balanced({ Policy: 'ring_hash', HashPolicies: [header] });
    const several = [{ Field: 'cookie', FieldValue: 'c' }, header, { SourceIP: true }];
    const more = balanced({ Policy: 'maglev', HashPolicies: several });
    for (const { clusters } of [one, more]) assert.equal(clusters.get('')?.hashKey, 'x-session');
    assert.deepEqual(more.unsupported, [
      'service-resolver "web": of LoadBalancer.HashPolicies only the first header is applied.',
    ]);
    assert.deepEqual(balanced({ Policy: 'least_request' }).unsupported, []);
    assert.match(balanced({ Policy: 'round_robin' }).unsupported[0]!, /Policy "round_robin" is not applied/);
  });

  it('a discovery chain leaves out targets that cannot be reached, and reports gateways', () => {
    const targets = {
      web: {},
      'web.dc2': { MeshGateway: { Mode: 'local' } },
      peered: { Peer: 'other' },
      spaced: { Namespace: 'other' },
      outside: { External: true },
    };
    const failover = ['web.dc2', 'peered', 'spaced', 'outside'];
    const failoverMore = { Policy: { Mode: 'order-by-locality' } };
    const { clusters, unsupported } = planOf(chain([resolver('web', { failover, failoverMore })], targets));
    const services = clusters.get('')?.targets.map(({ service }) => service);
    assert.deepEqual([services, unsupported.length], [['web', 'web', 'outside'], 5]);
    for (const sentence of [
      /Failover.Policy is not applied/,
      /"web.default.dc2": MeshGateway.Mode "local" is not applied, connections are direct/,
      /"outside.default.dc1": its ExternalSNI/,
    ])
      assert.match(unsupported.join(' '), sentence);
  });

  it('a discovery chain reports fields that it is not known to have, wherever they stand', () => {
    const unset = { A: 0, B: '', C: {}, D: [], E: null };
    const web = { PrioritizeByLocality: { Mode: 'failover' }, ...unset };
    const loadBalancer = { Policy: 'least_request', LeastRequestConfig: { ChoiceCount: 4 }, ...unset };
    const failoverMore = { Policy: { Mode: 'sequential' }, Soon: true };
    const node = resolver('web', {
      failover: ['other'],
      failoverMore,
      more: { Later: 1, ...unset },
      loadBalancer,
    });
    const Definition = { Weight: 100, Mirror: 'x', ...unset };
    const split = splitter('web', { [node[0]]: 100 }, { Definition });
    const route = {
      destination: { Service: 'web', Hedge: '1s', ...unset },
      match: { PathPrefix: '/a', ...unset },
    };
    const odd = { match: { PathPrefix: '/b', Host: 'h' } };
    const nodes = [
      router(
        'web',
        [route, odd].map((each) => ({ ...each, next: split[0] })),
        split[0],
      ),
      split,
      node,
    ];
    assert.deepEqual(planOf(chain(nodes, { web, other: {} })).unsupported.toSorted(), [
      'service-resolver "web", target "web.default.dc1": PrioritizeByLocality is not applied.',
      'service-resolver "web": Failover.Soon is not applied.',
      'service-resolver "web": Later is not applied.',
      'service-resolver "web": LoadBalancer.LeastRequestConfig is not applied.',
      'service-router "web", route 1: Destination.Hedge is not applied.',
      'service-router "web", route 2 is left out: Match.HTTP asks for Host, which is not known here.',
      'service-splitter "web.default": Splits.Mirror is not applied.',
    ]);
  });

  it('a plan is plain where calls go to the service itself, and nothing else is asked for', () => {
    assert.ok(isPlain(planOf(chain([resolver('web')])), { service: 'web' }));
    for (const nodes of [
      [resolver('web', { connectTimeout: '2s' })],
      [resolver('web', { more: { Later: 1 } })],
      [router('web', [], 'resolver:web.default.dc1'), resolver('web')],
    ])
      assert.equal(isPlain(planOf(chain(nodes)), { service: 'web' }), nodes.length > 1);
    assert.ok(!isPlain(planOf(chain([resolver('other')], { other: {} })), { service: 'web' }));
  });

  it('a plan is plain in another datacenter too, where calls go to the service there', () => {
    const plan = planOf(chain([resolver('web')]), 'elsewhere');
    assert.ok(isPlain(plan, { service: 'web', datacenter: 'dc1' }));
    assert.ok(!isPlain(plan, { service: 'web', datacenter: 'dc2' }));
    const tuned = planOf(chain([resolver('web', { connectTimeout: '2s' })]), 'elsewhere');
    assert.ok(!isPlain(tuned, { service: 'web', datacenter: 'dc1' }));
  });

  it('a discovery chain does not report a gateway mode that makes no difference', () => {
    const plan = planOf(chain([resolver('web')], { web: { MeshGateway: { Mode: 'local' } } }));
    assert.deepEqual(plan.unsupported, []);
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
    ['splitters that multiply', chain([splitter('web', HALVES), splitter('other', HALVES)])],
    ['a router behind a router', chain([router('web', [], 'router:web.default')])],
  ] as const) {
    it(`a discovery chain is refused when it is ${what}`, () => {
      assert.throws(() => planOf(text), Error);
    });
  }

  it('a discovery chain of any shape is read or refused, and nothing else', () => {
    const ofNodes = ['Type', 'Name', 'Routes', 'Splits', 'Resolver', 'NextNode', 'Weight', 'LoadBalancer'];
    const below = ['Target', 'Targets', 'Definition', 'Match', 'HTTP', 'Header', 'Failover', 'HashPolicies'];
    const fields = [...ofNodes, ...below];
    const nonsense = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(null, true, 0, -1, 1e300, '', 'web', 'resolver', 'router:web.default'),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...fields), tie('value'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(nonsense.value, nonsense.value, nonsense.value, (start, next, to) => {
        const Nodes = { 'router:web.default': start, 'resolver:web': next, '': start };
        const names = { ServiceName: 'web', Datacenter: 'dc1', StartNode: 'router:web.default' };
        const text = JSON.stringify({ Chain: { ...names, Nodes, Targets: { web: to, '': to } } });
        try {
          const plan = planOf(text);
          for (const { split } of plan.routes)
            for (const { cluster } of split) assert.ok(plan.clusters.has(cluster));
        } catch (error) {
          const isDefect = error instanceof TypeError || error instanceof assert.AssertionError;
          assert.ok(error instanceof Error && !isDefect, String(error));
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
