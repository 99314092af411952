/** When a watcher of a Service asks the API again: after failures, silence and doubts. */
import assert from 'node:assert/strict';
import { SILENT_WATCH_MS } from '../../../../sidecar/core/discovery/list-watch.js';
import { A, B, ServiceBench } from '../../../kit/discovery/service-bench.js';
import { statusJson } from '../../../kit/process/kubernetes-api.js';

describe('The endpoints of a Service of Kubernetes, in time', () => {
  it('are tried again at once when one has lost its connections while the API is away', async () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    for (let i = 0; i < 6; i++) {
      bench.request.end('api: ECONNREFUSED');
      await bench.retry();
    }
    bench.request.end('api: ECONNREFUSED');
    const before = bench.asked.length;
    bench.watcher.hurry();
    await bench.clock.settle(1_000);
    bench.watcher.hurry();
    assert.equal(bench.asked.length, before + 1);
    bench.request.head(200);
    bench.watcher.hurry();
    assert.equal(bench.asked.length, before + 1, 'a watch that is open tells by itself');
  });

  it('are listed anew after each watch that was silent: its revision may be of before a backup', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    for (let i = 0; i < 8; i++) {
      await bench.clock.settle(SILENT_WATCH_MS);
      assert.match(bench.problem, /silent for 150 s/);
      assert.deepEqual(bench.last, [i % 2 === 0 ? 'a' : 'b'], 'what is known stays');
      const waitMs = bench.clock.nextDueMs() - bench.clock.now();
      assert.ok(waitMs <= 800, `it is no failure in a row: ${waitMs} ms`);
      await bench.retry();
      bench.follow(i % 2 === 0 ? B : A);
      assert.deepEqual([bench.last, bench.state], [[i % 2 === 0 ? 'b' : 'a'], 'current']);
    }
  });

  it('are listed anew after a watch that has told something and then falls silent', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    bench.change(A, B);
    await bench.clock.settle(SILENT_WATCH_MS);
    await bench.retry();
    assert.equal(bench.request.kind, 'list');
    // While the API is away, it is asked ever later.
    for (const atMost of [1_600, 3_200, 6_400]) {
      bench.request.end('api: ECONNREFUSED');
      const waitMs = bench.clock.nextDueMs() - bench.clock.now();
      assert.ok(waitMs > atMost / 2 && waitMs <= atMost, `${waitMs} ms`);
      await bench.retry();
    }
    assert.deepEqual(bench.last, ['a', 'b']);
  });

  it('do not follow a server that ends each watch at once without a pause', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    bench.request.end();
    assert.match(bench.problem, /the watch ended after 0 ms/);
    const before = bench.asked.length;
    await bench.clock.settle(10_000);
    assert.equal(bench.asked.length, before + 1);
    bench.request.head(200);
    await bench.clock.settle(5_000);
    bench.request.end();
    assert.equal(
      bench.asked.length,
      before + 2,
      'one that ended in its time is followed by the next at once',
    );
    assert.equal(bench.problem, '');
  });

  it('are watched on at once after each cut of an idle watch, as by a proxy, and no cut is a failure', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    for (let i = 0; i < 12; i++) {
      await bench.clock.settle(50_000);
      bench.request.end('api: ECONNRESET');
      assert.deepEqual([bench.state, bench.problem, bench.asked.length], ['current', '', 3 + i]);
      bench.request.head(200);
      bench.change(A, ...(i % 2 === 0 ? [B] : []));
      assert.deepEqual(bench.last, i % 2 === 0 ? ['a', 'b'] : ['a']);
    }
    assert.equal(bench.watcher.report().failures, 0);
    assert.ok(!bench.log.some((line) => /cannot be followed/.test(line)));
    // An API that is away is a failure, and the first in a row.
    await bench.clock.settle(50_000);
    bench.request.end('api: ECONNRESET');
    bench.request.end('api: ECONNREFUSED');
    assert.deepEqual([bench.state, bench.problem], ['failing', 'api: ECONNREFUSED']);
    assert.ok(bench.clock.nextDueMs() - bench.clock.now() <= 800);
  });

  it('are asked for ever later where each watch is cut soon', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    for (const atMost of [800, 1_600, 3_200, 6_400]) {
      await bench.clock.settle(5_000);
      bench.request.end('api: ECONNRESET');
      assert.equal(bench.problem, 'api: ECONNRESET');
      const waitMs = bench.clock.nextDueMs() - bench.clock.now();
      assert.ok(waitMs > atMost / 2 && waitMs <= atMost, `${waitMs} ms`);
      await bench.retry();
      bench.request.head(200);
    }
  });

  it('are listed anew where watches end again and again before the API has told anything', async () => {
    for (const problem of ['api: ECONNRESET', undefined]) {
      const bench = new ServiceBench();
      bench.follow(A);
      for (const kind of ['watch', 'watch', 'list']) {
        await bench.clock.settle(50_000);
        bench.request.end(problem);
        assert.equal(bench.request.kind, kind);
        if (kind === 'watch') bench.request.head(200);
      }
      bench.follow(B);
      assert.deepEqual([bench.last, bench.state], [['b'], 'current']);
    }
  });

  it('say what is refused, and wait as long as the server asks for', async () => {
    const bench = new ServiceBench();
    bench.request.reply(403, statusJson(403, 'endpointslices is forbidden: User "x" cannot list'));
    assert.match(bench.problem, /^403 endpointslices is forbidden: .*; expected a Role|expected a Role/);
    await bench.clock.settle(1_000);
    bench.request.reply(401, statusJson(401, 'Unauthorized'));
    assert.match(bench.problem, /401 Unauthorized: the token of the service account is not accepted/);
    await bench.clock.settle(2_000);
    bench.request.head(429, '20');
    bench.request.data('slow');
    bench.request.end();
    const before = bench.asked.length;
    await bench.clock.settle(19_000);
    assert.equal(bench.asked.length, before);
    await bench.clock.settle(1_000);
    assert.equal(bench.asked.length, before + 1);
  });

  it('wait as long as the server asks for, whatever connections say meanwhile', async () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    await bench.clock.settle(20_000);
    bench.request.end('api: ECONNRESET');
    await bench.retry();
    bench.request.head(429, '30');
    bench.request.end();
    const before = bench.asked.length;
    for (let i = 0; i < 29; i++) {
      await bench.clock.settle(1_000);
      bench.watcher.hurry();
      bench.watcher.doubt();
    }
    assert.equal(bench.asked.length, before);
    await bench.clock.settle(1_000);
    assert.equal(bench.asked.length, before + 1);
    assert.equal(bench.request.kind, 'list', 'connections contradict what is known');
  });

  it('wait ever longer where the server refuses, whatever connections say meanwhile', async () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    bench.request.end('api: ECONNRESET');
    await bench.retry();
    for (let i = 0; i < 8; i++) {
      bench.request.reply(503, statusJson(503, 'busy'));
      await bench.retry();
    }
    bench.request.reply(503, statusJson(503, 'busy'));
    const before = bench.asked.length;
    for (let i = 0; i < 15; i++) {
      await bench.clock.settle(1_000);
      bench.watcher.hurry();
      bench.watcher.doubt();
    }
    assert.equal(bench.asked.length, before);
    await bench.clock.settle(15_000);
    assert.equal(bench.asked.length, before + 1);
  });

  it('are listed anew when connections contradict them, at most every ten seconds', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    bench.watcher.doubt();
    assert.equal(bench.request.kind, 'watch');
    await bench.clock.settle(10_000);
    bench.watcher.doubt();
    assert.equal(bench.request.kind, 'list');
    bench.follow(A, B);
    assert.deepEqual(bench.last, ['a', 'b']);
  });

  it('are asked for every ten seconds by connections that contradict them, also while lists fail', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    await bench.clock.settle(10_000);
    bench.watcher.doubt();
    assert.equal(bench.request.kind, 'list');
    for (let i = 0; i < 6; i++) {
      bench.request.end('api: ECONNREFUSED');
      const before = bench.asked.length;
      bench.watcher.doubt();
      assert.equal(bench.asked.length, before);
      await bench.retry();
    }
    const list = bench.request;
    await bench.clock.settle(12_000);
    bench.watcher.doubt();
    assert.ok(!list.isCancelled && bench.request === list, 'a list that is under way is not begun anew');
    bench.follow(B);
    assert.deepEqual(bench.last, ['b']);
  });
});
