import assert from 'node:assert/strict';
import { type RoutedUpstream, targetUpstreams } from '../../../../sidecar/core/routing/target-upstreams.js';

type Route = RoutedUpstream['routes'][number];

const upstream = (name: string, ...routes: Route[]): RoutedUpstream => ({ name, routes });
const fallbackTo = (name: string): Route => ({
  fallback: [{ kind: 'upstream', upstream: name }, { kind: 'last-good' }],
});
const targets = (...all: RoutedUpstream[]) => [...targetUpstreams(all)].sort();

describe('The targets among upstreams', () => {
  it('are none where no route names another upstream', () => {
    assert.deepEqual(targets(upstream('a', {}), upstream('b')), []);
  });

  it('are those of fallbacks, splits and mirrors', () => {
    const split = {
      match: [{ upstream: 'by-match' }],
      weights: { a: 95, 'by-weight': 5 },
    };
    const a = upstream('a', fallbackTo('by-fallback'), { split, mirror: { upstream: 'copied' } });
    const others = ['by-fallback', 'by-match', 'by-weight', 'copied', 'b'].map((name) => upstream(name));
    assert.deepEqual(targets(...others, a), ['by-fallback', 'by-match', 'by-weight', 'copied']);
  });

  it('are those of targets too', () => {
    assert.deepEqual(targets(upstream('c'), upstream('b', fallbackTo('c')), upstream('a', fallbackTo('b'))), [
      'b',
      'c',
    ]);
  });

  it('are all but the first of a circle that nothing else leads to', () => {
    const circle = [upstream('b', fallbackTo('a')), upstream('a', fallbackTo('b'))];
    assert.deepEqual(targets(...circle), ['a']);
    assert.deepEqual(targets(...circle, upstream('z', fallbackTo('a'))), ['a', 'b']);
  });
});
