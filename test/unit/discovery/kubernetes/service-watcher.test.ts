/** The endpoints of a Service on a manual clock: the test answers each request. */
import assert from 'node:assert/strict';
import { writeAddress } from '../../../../sidecar/config/codecs/address.js';
import { SILENT_WATCH_MS } from '../../../../sidecar/core/discovery/list-watch.js';
import { HEAD_LIMIT_MS, LIST_LIMIT_MS } from '../../../../sidecar/discovery/kubernetes/api-reads.js';
import { GRACE_MS, MAX_ENDPOINTS } from '../../../../sidecar/discovery/kubernetes/service-watcher.js';
import { MAX_PAGES, MAX_SLICES } from '../../../../sidecar/discovery/kubernetes/slice-list.js';
import { A, B, C, SERVICE, ServiceBench } from '../../../kit/discovery/service-bench.js';
import {
  type ApiEndpoint,
  type ApiSlice,
  sliceJson,
  statusJson,
} from '../../../kit/process/kubernetes-api.js';

const ending = (endpoint: ApiEndpoint) => ({ ...endpoint, terminating: true });

describe('The endpoints of a Service of Kubernetes', () => {
  it('are listed, then watched from the revision of the list on', () => {
    const bench = new ServiceBench();
    assert.equal(bench.state, 'waiting');
    assert.ok(
      bench.request.path.startsWith(
        '/apis/discovery.k8s.io/v1/namespaces/models/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Ddigits&limit=',
      ),
      bench.request.path,
    );
    bench.follow(A, B);
    assert.deepEqual([bench.request.kind, bench.request.revision], ['watch', '100']);
    const address = { kind: 'tcp', host: '10.0.0.1', port: 9443 };
    assert.deepEqual(bench.seen[0]![0], { address, weight: 1, id: 'a', locality: 'z1' });
    assert.equal(bench.state, 'current');
    bench.change(A, B, C);
    assert.deepEqual(bench.last, ['a', 'b', 'c']);
  });

  it('whose pod ends are kept behind all others, and gone once it is', () => {
    const bench = new ServiceBench();
    bench.follow(A, B, C);
    bench.change(A, ending(B), ending(C));
    assert.deepEqual(bench.last, ['a', 'b!', 'c!']);
    assert.match(bench.seen.at(-1)![1]!.critical!, /its pod ends/);
    bench.change(A, { ...ending(B), serving: false }, ending(C));
    assert.deepEqual(bench.last, ['a', 'c!']);
    bench.change(A);
    assert.deepEqual(bench.last, ['a']);
    assert.equal(bench.state, 'current', 'nothing is kept against the API');
  });

  it('are empty after a scale to 0, and nothing is kept', () => {
    const bench = new ServiceBench();
    bench.follow(A, B, C);
    bench.change(ending(A), ending(B), ending(C));
    assert.equal(bench.state, 'empty');
    assert.match(bench.problem, /found 3 pods, none of which is ready; 3 of them end/);
    bench.change();
    assert.deepEqual(bench.last, []);
    assert.equal(bench.state, 'empty');
    bench.change(A);
    assert.deepEqual([bench.last, bench.state], [['a'], 'current']);
  });

  it('that vanish together and still answer are kept for the grace time', async () => {
    const bench = new ServiceBench();
    bench.follow(A, B, C);
    bench.silent.add('10.0.0.3:9443');
    bench.change();
    assert.deepEqual([bench.last, bench.state], [['a', 'b'], 'held']);
    await bench.clock.settle(GRACE_MS + 1_000);
    assert.deepEqual([bench.last, bench.state], [[], 'empty']);
  });

  it('that are not ready are the last resort', () => {
    const bench = new ServiceBench();
    bench.follow(A, { ...B, ready: false });
    assert.deepEqual(bench.last, ['a', 'b!']);
    assert.equal(bench.watcher.report().unready, 1);
  });

  it('stay while the API is away, and the watch goes on where it was', async () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    bench.change(A, B, C);
    bench.request.end('api: ECONNRESET');
    assert.deepEqual([bench.state, bench.last.length], ['failing', 3]);
    const before = bench.asked.length;
    const beganMs = bench.clock.now();
    for (let i = 0; i < 9; i++) {
      await bench.retry();
      bench.request.end('api: ECONNREFUSED');
    }
    assert.equal(bench.asked.length, before + 9);
    const ageMs = bench.clock.now() - beganMs;
    assert.deepEqual([bench.watcher.report().ageMs, Math.round(ageMs / 1_000)], [Math.round(ageMs), 105]);
    assert.match(bench.problem, /ECONNREFUSED/);
    await bench.retry();
    assert.deepEqual([bench.request.kind, bench.request.revision], ['watch', '101']);
    bench.request.head(200);
    assert.deepEqual([bench.state, bench.problem], ['current', '']);
    assert.equal(
      bench.log.filter((line) => line.includes('cannot be followed')).length,
      2,
      'each reason once',
    );
  });

  it('are listed anew where the API has forgotten the revision, at once the first time', async () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    const expired = () => bench.line('ERROR', JSON.parse(statusJson(410, 'too old')) as object);
    bench.request.data(expired());
    assert.equal(bench.request.kind, 'list');
    bench.follow(A, B, C);
    assert.deepEqual(bench.last, ['a', 'b', 'c']);
    // Again and again: not without a pause.
    bench.request.data(expired());
    const asked = bench.asked.length;
    assert.equal(bench.state, 'failing');
    await bench.clock.settle(30_000);
    assert.equal(bench.asked.length, asked + 1);
    bench.follow(A);
    bench.request.data(bench.line('BOOKMARK', { metadata: { resourceVersion: '500' } }));
    bench.request.end();
    assert.deepEqual(
      [bench.request.kind, bench.request.revision],
      ['watch', '500'],
      'a bookmark moves it on',
    );
  });

  it('are listed anew at once after the API was away and has forgotten the revision', async () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    for (let i = 0; i < 9; i++) {
      bench.request.end('api: ECONNREFUSED');
      await bench.retry();
    }
    bench.request.head(200);
    bench.request.data(bench.line('ERROR', JSON.parse(statusJson(410, 'too old')) as object));
    bench.follow(A, C);
    assert.deepEqual([bench.last, bench.state], [['a', 'c'], 'current']);
  });

  it('are listed anew after a 410 to the watch itself', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    bench.request.end();
    await bench.clock.settle(30_000);
    bench.request.reply(410, statusJson(410, 'too old'));
    await bench.clock.settle(30_000);
    assert.equal(bench.request.kind, 'list');
  });

  it('come in lines that are cut anywhere', () => {
    const bench = new ServiceBench();
    bench.follow(A);
    const text = Buffer.from(
      bench.line('MODIFIED', sliceJson('s', { endpoints: [A, { ...B, pod: 'bé' }] }, 7)) +
        bench.line('ADDED', sliceJson('t', { endpoints: [C] }, 8)),
    );
    for (const byte of text) bench.request.data(Buffer.of(byte));
    assert.deepEqual(bench.last, ['a', 'bé', 'c']);
    bench.request.data(bench.line('DELETED', sliceJson('t', { endpoints: [C] }, 9)));
    assert.deepEqual(bench.last, ['a', 'bé']);
  });

  it('come in pages', () => {
    const bench = new ServiceBench();
    const metadata = { resourceVersion: '5', continue: 'more/+' };
    const items = [sliceJson('s', { endpoints: [A] })];
    bench.request.reply(200, JSON.stringify({ metadata, items }));
    assert.ok(bench.request.path.endsWith('&continue=more%2F%2B'), bench.request.path);
    assert.deepEqual(bench.seen, []);
    bench.list({ t: { endpoints: [B] } });
    assert.deepEqual(bench.last, ['a', 'b']);
  });

  it('are not known by a part of their pages', () => {
    const bench = new ServiceBench();
    for (let page = 1; page <= MAX_PAGES; page++) {
      const metadata = { resourceVersion: '5', continue: `${page}` };
      bench.request.reply(
        200,
        JSON.stringify({ metadata, items: [sliceJson(`s${page}`, { endpoints: [A] })] }),
      );
    }
    assert.match(bench.problem, /the list cannot be read: found more than 200 pages; expected fewer/);
    assert.deepEqual([bench.seen, bench.state], [[], 'failing']);
  });

  it('stay as they were when there are more slices than are kept, of a list or of a watch', async () => {
    const bench = new ServiceBench();
    const named = (count: number): Record<string, ApiSlice> =>
      Object.fromEntries(
        Array.from({ length: count }, (_, i) => [`s${i}`, { endpoints: i === 0 ? [A] : [] }]),
      );
    bench.list(named(MAX_SLICES));
    bench.request.head(200);
    assert.equal(bench.state, 'current');
    bench.request.data(bench.line('MODIFIED', sliceJson('s0', { endpoints: [A, B] }, 102)));
    assert.deepEqual([bench.last, bench.problem], [['a', 'b'], '']);
    bench.request.data(bench.line('ADDED', sliceJson('one-more', { endpoints: [C] }, 103)));
    assert.match(bench.problem, /found more than 4000 EndpointSlices of one Service; expected fewer/);
    await bench.retry();
    bench.list(named(MAX_SLICES + 1));
    assert.match(bench.problem, /found more than 4000 EndpointSlices/);
    assert.deepEqual([bench.last, bench.state], [['a', 'b'], 'failing']);
  });

  it('are not followed by a watch that hangs or is silent', async () => {
    const bench = new ServiceBench();
    bench.list({ s: { endpoints: [A] } });
    const hanging = bench.request;
    await bench.clock.settle(HEAD_LIMIT_MS);
    assert.ok(hanging.isCancelled);
    assert.match(bench.problem, /no response within 10 s/);
    await bench.clock.settle(1_000);
    const silent = bench.request;
    silent.head(200);
    await bench.clock.settle(SILENT_WATCH_MS - 1);
    assert.equal(bench.state, 'current');
    await bench.clock.settle(1);
    assert.ok(silent.isCancelled);
    assert.match(bench.problem, /silent for 150 s/);
    assert.deepEqual(bench.last, ['a']);
  });

  it('are not known while a list hangs, is broken or too large', async () => {
    const bench = new ServiceBench();
    await bench.clock.settle(LIST_LIMIT_MS);
    assert.match(bench.problem, /no whole response within 30 s/);
    await bench.clock.settle(1_000);
    bench.request.reply(200, '{');
    assert.match(bench.problem, /the list cannot be read/);
    await bench.clock.settle(2_000);
    bench.request.head(200);
    bench.request.data('x'.repeat(17 * 1024 * 1024));
    assert.match(bench.problem, /larger than 16777216 bytes/);
    await bench.clock.settle(4_000);
    bench.follow(A);
    assert.equal(bench.state, 'current');
  });

  it('end a watch whose line is too long, once', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    const watch = bench.request;
    watch.data('x'.repeat(5 * 1024 * 1024));
    watch.data('x'.repeat(5 * 1024 * 1024));
    assert.equal(bench.watcher.report().failures, 1);
    assert.match(bench.problem, /a line of the watch is larger/);
  });

  it('say what is missing outside of a pod, and are found once it is there', async () => {
    const bench = new ServiceBench({ service: 'digits', family: 'any' });
    assert.match(bench.problem, /no namespace/);
    bench.missing = 'found no KUBERNETES_SERVICE_HOST';
    bench.watcher.update(SERVICE);
    assert.match(bench.problem, /KUBERNETES_SERVICE_HOST/);
    bench.missing = undefined;
    await bench.clock.settle(5_000);
    bench.follow(A);
    assert.equal(bench.state, 'current');
  });

  const absent: readonly (readonly [string, number, string, RegExp])[] = [
    ['no Service', 404, statusJson(404, 'not found'), /found no Service "digits" in the namespace "models"/],
    [
      'ExternalName',
      200,
      '{"spec":{"type":"ExternalName"}}',
      /of the type ExternalName, which has no endpoints/,
    ],
    ['no selector', 200, '{"spec":{}}', /without a selector and without an EndpointSlice/],
    [
      'no right to look',
      403,
      statusJson(403, 'no'),
      /found no EndpointSlice .*\(a Role with get on services would tell/,
    ],
    ['one that is new', 200, '{"spec":{"selector":{"a":"b"}}}', /found no EndpointSlice .* yet/],
  ];
  for (const [what, status, body, expected] of absent)
    it(`say why there is no slice: ${what}`, async () => {
      const bench = new ServiceBench();
      bench.list({});
      const look = bench.asked.find(({ kind }) => kind === 'service')!;
      assert.equal(look.path, '/api/v1/namespaces/models/services/digits');
      look.reply(status, body);
      bench.request.head(200);
      assert.match(bench.problem, expected);
      assert.match(bench.uncounted, expected);
      assert.equal(bench.state, 'empty');
      bench.request.data(bench.line('ADDED', sliceJson('s', { endpoints: [A] }, 7)));
      assert.deepEqual([bench.problem, bench.last], ['', ['a']]);
    });

  it('do not tell how many pods there are, before there is a list', () => {
    const bench = new ServiceBench();
    assert.match(bench.uncounted, /not listed yet/);
    bench.follow(A);
    assert.equal(bench.uncounted, '');
    bench.change();
    bench.silent.add('10.0.0.1:9443');
    assert.equal(bench.uncounted, '');
    bench.watcher.update({ ...SERVICE, service: 'letters.models' });
    assert.match(bench.uncounted, /not listed yet/);
  });

  it('do not tell it where the pods that are listed have no such port, though some are kept', async () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    const ports = [{ name: 'grpc', port: 9443 }];
    bench.request.data(bench.line('MODIFIED', sliceJson('s', { ports, endpoints: [A, B] }, 200)));
    assert.deepEqual(bench.last, ['a', 'b'], 'they still answer');
    assert.match(bench.uncounted, /found the TCP ports grpc \(9443\); expected one with the name "peers"/);
    await bench.clock.settle(GRACE_MS + 1_000);
    assert.deepEqual(bench.last, []);
    assert.match(bench.uncounted, /expected one with the name "peers"/);
    bench.change(A);
    assert.deepEqual([bench.last, bench.uncounted], [['a'], '']);
    bench.request.data(bench.line('ADDED', sliceJson('t', { ports, endpoints: [B, C] }, 300)));
    assert.deepEqual(bench.watcher.uncounted(), { why: undefined, replicas: 2 });
  });

  it('count those beyond a thousand that do not end', () => {
    const bench = new ServiceBench();
    const many = Array.from({ length: 1_500 }, (_, i) => {
      const each = { ...A, pod: `p${i}`, address: `10.1.${i >> 8}.${i & 255}` };
      return i < 100 ? ending(each) : each;
    });
    bench.list({ s: { endpoints: many.slice(0, 800) }, t: { endpoints: many.slice(800) } });
    assert.equal(bench.last!.length, MAX_ENDPOINTS + 100);
    assert.deepEqual(bench.watcher.uncounted(), { why: undefined, replicas: 400 });
  });

  it('count one that is kept once', () => {
    const bench = new ServiceBench();
    bench.list({ s: { endpoints: [A] }, t: { endpoints: [B, C] } });
    bench.request.head(200);
    const ports = [{ name: 'grpc', port: 9443 }];
    bench.silent.add('10.0.0.3:9443');
    bench.request.data(bench.line('MODIFIED', sliceJson('t', { ports, endpoints: [B, C] }, 200)));
    assert.deepEqual([bench.last, bench.watcher.uncounted().replicas], [['a', 'b'], 1]);
  });

  it('do not tell it while there is none, and the API cannot be followed or has slices that nobody can read', () => {
    const bench = new ServiceBench();
    bench.follow(A);
    bench.request.end('api: ECONNREFUSED');
    assert.equal(bench.uncounted, '', 'what is known stays in use');
    const empty = new ServiceBench();
    empty.follow();
    assert.equal(empty.uncounted, '', 'no pod');
    empty.request.end('api: ECONNREFUSED');
    assert.match(empty.uncounted, /ECONNREFUSED/);
    const unread = new ServiceBench();
    unread.list({ s: { endpoints: [] }, t: { addressType: 'IPv7', endpoints: [A] } });
    assert.match(unread.uncounted, /the EndpointSlice t of the type "IPv7"/);
  });

  it('of another port are listed anew; those before serve meanwhile', () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    const watch = bench.request;
    bench.watcher.update({ ...SERVICE, port: 7_000 });
    assert.ok(watch.isCancelled);
    assert.deepEqual(bench.last, ['a', 'b']);
    bench.follow(A);
    assert.deepEqual(
      bench.seen.at(-1)!.map(({ address }) => writeAddress(address)),
      ['10.0.0.1:7000'],
    );
    const asked = bench.asked.length;
    bench.watcher.update({ ...SERVICE, port: 7_000 });
    assert.equal(bench.asked.length, asked);
  });

  it('are told once: the same again is no change', () => {
    const bench = new ServiceBench();
    bench.follow(A, B);
    bench.change(A, B);
    assert.equal(bench.seen.length, 1);
    bench.change({ ...A, zone: 'z2' }, B);
    assert.equal(bench.seen.length, 2);
  });

  it('are no longer followed after the end', async () => {
    const bench = new ServiceBench();
    bench.follow(A);
    bench.watcher.close();
    assert.ok(bench.request.isCancelled);
    assert.equal(bench.clock.pending(), 0);
  });
});
