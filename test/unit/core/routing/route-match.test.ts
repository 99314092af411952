/** Routes of calls: the first that matches, and clusters by weight. */
import assert from 'node:assert/strict';
import {
  drawLeg,
  type HeaderMatch,
  matchRoute,
  rewritePath,
  type TrafficMatch,
  type TrafficRoute,
} from '../../../../sidecar/core/routing/route-match.js';
import { constant, seeded } from '../../../kit/time/seeded-random.js';

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
    const find = (path: string, among = routes) => matchRoute(among, path, () => [])?.split[0]?.cluster;
    assert.deepEqual([find(PATH), find('/a.B/C')], ['exact', 'all']);
    assert.deepEqual([find(PATH, []), find('/a.B/C', routes.slice(0, 1))], [undefined, undefined]);
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
  ] as const)
    it(`match metadata by ${what}, and its opposite`, () => {
      assert.ok(matches(header(match), { 'x-kind': yes }));
      assert.ok(!matches(header(match), { 'x-kind': no }));
      assert.ok(!matches(header(match)));
      const inverted = header({ ...match, invert: true });
      assert.ok(!matches(inverted, { 'x-kind': yes }));
      assert.ok(matches(inverted, { 'x-kind': no }));
      assert.ok(!matches(inverted), 'what is not there has no value, not another one');
    });

  it('match metadata by its presence, empty or not', () => {
    assert.ok(matches(header({ present: true }), { 'x-kind': '' }));
    assert.ok(!matches(header({ present: true })));
    assert.ok(matches(header({ present: true, invert: true })));
  });

  it('require every condition of a match', () => {
    const headers = ['a', 'b'].map((name, i) => ({ name, exact: `${i + 1}`, invert: false }));
    const both: TrafficMatch = { prefix: '/inference.', headers };
    assert.ok(matches(both, { a: '1', b: '2' }));
    assert.ok(!matches(both, { a: '1', b: '3' }));
    assert.ok(!matches(both, { a: '1', b: '2' }, '/x.Y/Z'));
  });

  it('split by weight', () => {
    const weights = Object.entries({ a: 90, never: 0, b: 10 });
    const route: TrafficRoute = { split: weights.map(([cluster, weight]) => ({ weight, cluster })) };
    const random = seeded(1);
    const drawn = Array.from({ length: 10_000 }, () => drawLeg(route, random).cluster);
    const [a, b] = ['a', 'b'].map((name) => drawn.filter((cluster) => cluster === name).length);
    // Four standard deviations of 10,000 draws at 0.1.
    assert.ok(Math.abs(b! - 1000) < 120, `${b}`);
    assert.equal(a! + b!, 10_000);
    const ends = [0.999_999_999, 0].map((draw) => drawLeg(route, constant(draw)).cluster);
    assert.deepEqual(ends, ['b', 'a']);
  });

  it('rewrite the matched part of a path', () => {
    const route = (match: TrafficMatch, rewrite: string): TrafficRoute => ({ ...to('a', match), rewrite });
    const anyCase = { prefix: '/A.b/', ignoreCase: true, headers: [] } as const;
    for (const [from, rewritten] of [
      [route({ prefix: '/a.B/', headers: [] }, '/c.D/'), '/c.D/M'],
      [route({ exact: '/a.B/M', headers: [] }, '/c.D/N'), '/c.D/N'],
      [route(anyCase, '/c.D/'), '/c.D/M'],
      [to('a', { prefix: '/a.B/', headers: [] }), '/a.B/M'],
    ] as const)
      assert.equal(rewritePath(from, '/a.B/M'), rewritten);
  });
});
