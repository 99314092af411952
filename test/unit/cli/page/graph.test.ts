import assert from 'node:assert/strict';
import { columnsOf, edgeWords, graph } from '../../../../sidecar/cli/page/graph.js';

describe('the picture of services', () => {
  const edge = (from: string, to: string) => ({ from, to });

  it('has each service to the right of those that call it, also where calls go in a circle', () => {
    const names = ['web', 'a', 'b', 'alone'];
    assert.deepEqual(
      [...columnsOf(names, [edge('a', 'b'), edge('web', 'a'), edge('web', 'b')])],
      [
        ['web', 0],
        ['a', 1],
        ['b', 2],
        ['alone', 0],
      ],
    );
    const circle = columnsOf(['x', 'y'], [edge('x', 'y'), edge('y', 'x'), edge('x', 'x')]);
    for (const column of circle.values()) assert.ok(column < 2);
  });

  it('has calls, success and latencies in words, and never rounds failures away', () => {
    assert.deepEqual(edgeWords({ perSecond: 0 }), ['no calls', '']);
    assert.deepEqual(edgeWords({ perSecond: 12.34, successRatio: 1, p50: 0.0042, p99: 0.12 }), [
      '12 calls/s, 100 %',
      'p50 4.2 ms, p99 120 ms',
    ]);
    assert.equal(edgeWords({ perSecond: 1.25, successRatio: 0.9999 })[0], '1.3 calls/s, 99.9 %');
    assert.equal(edgeWords({ perSecond: 1, successRatio: 1, p50: 1.25, p99: 2 })[1], 'p50 1.3 s, p99 2.0 s');
  });

  it('escapes names, and leaves out calls to what is not in it', () => {
    const svg = graph(
      [{ name: '<b>', ready: 1, all: 2 }],
      [{ from: '<b>', to: 'gone', now: { perSecond: 1 }, steps: [] }],
    );
    assert.match(svg, /&lt;b&gt;/);
    assert.match(svg, /class="node warn"/);
    assert.doesNotMatch(svg, /<b>|class="edge/);
  });
});
