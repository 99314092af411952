import assert from 'node:assert/strict';
import { anchorOf, columnsOf, graph, orderOf } from '../../../../sidecar/cli/page/graph.js';

const edge = (from: string, to: string) => ({ from, to });

describe('the picture of services', () => {
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

  it('has services beside those that they call, so that lines do not cross, and always in the same order', () => {
    const names = ['a', 'b', 'c', 'x', 'y', 'z'];
    const edges = [edge('a', 'z'), edge('b', 'y'), edge('c', 'x')];
    const order = orderOf(columnsOf(names, edges), edges);
    const [callers, called] = order as [string[], string[]];
    const heights = edges.map(({ from, to }) => [callers.indexOf(from), called.indexOf(to)]);
    for (const [from, to] of heights) assert.equal(from, to, JSON.stringify(order));
    assert.deepEqual(orderOf(columnsOf(names, edges), edges.toReversed()), order);
    assert.deepEqual(orderOf(new Map(), []), []);
  });

  it('has a row for each caller, the worst first, with what fails never rounded away', () => {
    const now = (failedRatio: number) => ({ perSecond: 12.34, failedRatio, p50: 4.2, p99: 120 });
    const html = graph(
      [
        { name: 'a', ready: 1, all: 1 },
        { name: 'b', ready: 1, all: 1 },
        { name: 'c', ready: 1, all: 1 },
        { name: 'digits', ready: 1, all: 2 },
      ],
      [
        { ...edge('a', 'digits'), now: { perSecond: 0 } },
        { ...edge('b', 'digits'), now: now(0.0001) },
        { ...edge('c', 'digits'), now: now(0.2) },
      ],
    );
    const rows = [...html.matchAll(/<li class="([^"]*)".*?>(.*?)<\/li>/g)].map(([, tone, row]) => [
      tone,
      row!
        .replaceAll(/<[^>]*>/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    ]);
    assert.deepEqual(rows, [
      ['bad', 'c 12/s 20 % fail p99 120 ms'],
      ['good idle', 'a no calls'],
      ['good', 'b 12/s under 0.1 % fail p99 120 ms'],
    ]);
    assert.match(html, /class="node warn" data-key="digits".*1 of 2 ready/);
  });

  it('escapes names, and leads to a part of the page whatever they are', () => {
    const html = graph([{ name: '<b> "x\'', ready: 1, all: 2 }], []);
    assert.match(html, /&lt;b&gt;/);
    assert.doesNotMatch(html, /<b>/);
    assert.match(anchorOf('<b> "x\''), /^s-[\w%-]+$/);
  });
});
