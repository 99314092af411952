/** Routes of calls: the first that matches, and clusters by weight. */
import assert from 'node:assert/strict';
import {
  drawCluster,
  type HeaderMatch,
  matchRoute,
  rewritePath,
  type TrafficMatch,
  type TrafficRoute,
} from '../../../../sidecar/core/routing/route-match.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const PATH = '/inference.GRPCInferenceService/ModelInfer';

function to(cluster: string, match?: TrafficMatch): TrafficRoute {
  return { split: [{ weight: 1, cluster }], ...(match === undefined ? {} : { match }) };
}

function header(over: Partial<HeaderMatch>): TrafficMatch {
  return { headers: [{ name: 'x-kind', invert: false, ...over }] };
}

describe('Traffic rules', () => {
  const matches = (match: TrafficMatch, metadata: Record<string, string> = {}, path = PATH): boolean =>
    matchRoute([to('a', match)], path, (name) => [metadata[name] ?? []].flat()) !== undefined;

  it('take the first route that matches, and none when none does', () => {
    const routes = [to('exact', { exact: PATH, headers: [] }), to('all'), to('never')];
    const find = (path: string) => matchRoute(routes, path, () => [])?.split[0]?.cluster;
    assert.equal(find(PATH), 'exact');
    assert.equal(find('/a.B/C'), 'all');
    assert.equal(
      matchRoute([], PATH, () => []),
      undefined,
    );
    assert.equal(
      matchRoute(routes.slice(0, 1), '/a.B/C', () => []),
      undefined,
    );
  });

  it('match paths', () => {
    assert.ok(matches({ prefix: '/inference.', headers: [] }));
    assert.ok(!matches({ prefix: '/inference.', headers: [] }, {}, '/x.inference.S/M'));
    assert.ok(matches({ regex: /^(?:.*Infer)$/, headers: [] }));
    assert.ok(!matches({ regex: /^(?:.*infer)$/, headers: [] }));
    assert.ok(!matches({ exact: '/inference.GRPCInferenceService/', headers: [] }));
    assert.ok(matches({ exact: PATH.toUpperCase(), ignoreCase: true, headers: [] }));
    assert.ok(!matches({ exact: PATH.toUpperCase(), headers: [] }));
    assert.ok(matches({ prefix: '/INFERENCE.', ignoreCase: true, headers: [] }));
  });

  for (const [what, match, yes, no] of [
    ['exact', { exact: 'a' }, 'a', 'ab'],
    ['prefix', { prefix: 'ab' }, 'abc', 'cab'],
    ['suffix', { suffix: 'ab' }, 'cab', 'abc'],
    ['regex', { regex: /^(?:a+)$/ }, 'aaa', 'aab'],
  ] as const) {
    it(`match metadata by ${what}, and its opposite`, () => {
      assert.ok(matches(header(match), { 'x-kind': yes }));
      assert.ok(!matches(header(match), { 'x-kind': no }));
      assert.ok(!matches(header(match)));
      const inverted = header({ ...match, invert: true });
      assert.ok(!matches(inverted, { 'x-kind': yes }));
      assert.ok(matches(inverted, { 'x-kind': no }));
      assert.ok(!matches(inverted), 'what is not there has no value, not another one');
    });
  }

  it('match metadata by its presence, empty or not', () => {
    assert.ok(matches(header({ present: true }), { 'x-kind': '' }));
    assert.ok(!matches(header({ present: true })));
    assert.ok(matches(header({ present: true, invert: true })));
  });

  it('require every condition of a match', () => {
    const both: TrafficMatch = {
      prefix: '/inference.',
      headers: [
        { name: 'a', exact: '1', invert: false },
        { name: 'b', exact: '2', invert: false },
      ],
    };
    assert.ok(matches(both, { a: '1', b: '2' }));
    assert.ok(!matches(both, { a: '1', b: '3' }));
    assert.ok(!matches(both, { a: '1', b: '2' }, '/x.Y/Z'));
  });

  it('split by weight', () => {
    const route: TrafficRoute = {
      split: [
        { weight: 90, cluster: 'a' },
        { weight: 0, cluster: 'never' },
        { weight: 10, cluster: 'b' },
      ],
    };
    const random = seeded(1);
    const counts: Record<string, number> = {};
    for (let i = 0; i < 10_000; i++) {
      const cluster = drawCluster(route, random);
      counts[cluster] = (counts[cluster] ?? 0) + 1;
    }
    // Four standard deviations of 10,000 draws at 0.1.
    assert.ok(Math.abs((counts['b'] ?? 0) - 1000) < 120, JSON.stringify(counts));
    assert.equal((counts['a'] ?? 0) + (counts['b'] ?? 0), 10_000);
    assert.equal(
      drawCluster(route, () => 0.999_999_999),
      'b',
    );
    assert.equal(
      drawCluster(route, () => 0),
      'a',
    );
  });

  it('rewrite the matched part of a path', () => {
    const route = (match: TrafficMatch, rewrite: string): TrafficRoute => ({ ...to('a', match), rewrite });
    assert.equal(rewritePath(route({ prefix: '/a.B/', headers: [] }, '/c.D/'), '/a.B/M'), '/c.D/M');
    assert.equal(rewritePath(route({ exact: '/a.B/M', headers: [] }, '/c.D/N'), '/a.B/M'), '/c.D/N');
    assert.equal(
      rewritePath(route({ prefix: '/A.b/', ignoreCase: true, headers: [] }, '/c.D/'), '/a.B/M'),
      '/c.D/M',
    );
    assert.equal(rewritePath(to('a', { prefix: '/a.B/', headers: [] }), '/a.B/M'), '/a.B/M');
  });
});
