/** What the log says of peers that were cut off. */
import assert from 'node:assert/strict';
import type { LogFields, Logger } from '../../../sidecar/runtime/log/logger.js';
import { ping } from '../../kit/http2/h2-frames.js';
import { type Application, anUpstream, aRoute, Stack } from '../../kit/stack/stack.js';

describe('The log of limits', () => {
  let stack: Stack;
  let lines: LogFields[];
  let flood: (pings: number) => Application;

  beforeEach(() => {
    stack = new Stack();
    lines = [];
    const quiet = stack.context.logger;
    const warn = (fields: LogFields): void => void lines.push(fields);
    (stack.context as { logger: Logger }).logger = { ...quiet, warn };
    stack.backend('a').answer = (stream) => stream.reply();
    const { listener } = stack.outbound(anUpstream(['a'], { routes: [aRoute()] }));
    flood = (pings) => {
      const app = stack.app(listener);
      for (let i = 0; i < pings; i++) app.send(ping());
      stack.run();
      return app;
    };
  });

  it('a limit that is met is logged with what was found, what is allowed, the peer and the option', () => {
    flood(501);
    assert.equal(lines.length, 1);
    const { peer, ...words } = lines[0]!;
    assert.equal(typeof peer, 'string');
    assert.deepEqual(words, {
      limit: 'pings',
      found: '501 in 0 ms',
      allowed: '500 at once, 100 a second, one more for each HEADERS or DATA written to the peer',
      option: 'limits.frames_per_second.pings',
    });
  });

  it('a peer within its limits is not logged', () => {
    const app = flood(500);
    stack.settle(app.call());
    assert.deepEqual(lines, []);
  });

  it('a limit is logged once in ten seconds, with the number of unlogged times', () => {
    for (let i = 0; i < 20; i++) flood(501);
    assert.equal(lines.length, 1);
    stack.advance(10_000);
    flood(501);
    const unlogged = lines.map((line) => line['unloggedBefore']);
    assert.deepEqual(unlogged, [undefined, 19]);
  });
});
