import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { startObserve } from '../../../sidecar/admin/observe.js';
import type { AdminServer } from '../../../sidecar/admin/server.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';
import { FakeView } from '../../kit/stack/admin-view.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

interface Reply {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

describe('the read-only listener', () => {
  let view: FakeView;
  let clock: ManualClock;
  let observe: AdminServer;
  let port: number;

  beforeEach(async () => {
    view = new FakeView();
    clock = new ManualClock();
    observe = await startObserve({ kind: 'tcp', host: '127.0.0.1', port: 0 }, view, { clock });
    port = observe.address.kind === 'tcp' ? observe.address.port : 0;
  });

  afterEach(() => observe.close());

  function ask(path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
        const { statusCode: status = 0, headers: said } = response;
        text(response).then((body) => resolve({ status, headers: said, body }), reject);
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  /** A connection that writes `bytes`, and what came back until it was closed. */
  function raw(bytes: string): { socket: Socket; ended: Promise<string> } {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}); // a reset is an end
    afterTest(() => socket.destroy());
    let said = '';
    socket.setEncoding('latin1').on('data', (part: string) => {
      said += part;
    });
    socket.write(bytes);
    return { socket, ended: new Promise((resolve) => socket.once('close', () => resolve(said))) };
  }

  it('answers liveness, readiness with its reasons, and metrics', async () => {
    view.metricFamilies = [
      { kind: 'counter', name: 'outrider_calls_total', help: 'Calls.', samples: [{ labels: {}, value: 3 }] },
    ];
    assert.deepEqual((await ask('/live')).body, 'live\n');
    assert.equal((await ask('/ready')).status, 200);
    view.reasons = ['draining'];
    const { status, body } = await ask('/ready?verbose');
    assert.deepEqual([status, body], [503, 'draining\n']);
    assert.deepEqual((await ask('/started')).body, 'started\n');
    view.startReasons = ['upstream digits: it has no endpoint'];
    const later = await ask('/started');
    assert.deepEqual([later.status, later.body], [503, 'upstream digits: it has no endpoint\n']);
    const page = await ask('/metrics');
    assert.match(String(page.headers['content-type']), /^text\/plain; version=0\.0\.4/);
    assert.match(page.body, /^outrider_calls_total 3$/m);
  });

  it('answers HEAD with the headers of GET and no body', async () => {
    const { status, body, headers } = await ask('/ready', 'HEAD');
    assert.deepEqual([status, body, headers['content-length']], [200, '', '6']);
  });

  it('takes any name in the Host header, as Prometheus asks by names', async () => {
    for (const host of ['digits-1.mesh.svc.cluster.local:9464', 'evil.example', '10.0.0.1'])
      assert.equal((await ask('/live', 'GET', { host })).status, 200, host);
  });

  it('has nothing that the admin port has beside, and changes nothing', async () => {
    const faults = view.faults();
    faults.switchOff = () => assert.fail('faults were ended');
    for (const path of [
      '/',
      '/drain',
      '/takeover',
      '/faults',
      '/config',
      '/endpoints',
      '/drain?wait',
      '//live',
    ])
      for (const method of ['GET', 'POST', 'DELETE'])
        assert.equal((await ask(path, method)).status, 404, `${method} ${path}`);
    assert.equal(view.drains, 0);
  });

  it('says which methods it takes', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
      const { status, headers } = await ask('/metrics', method);
      assert.deepEqual(
        [status, headers['allow'], headers['connection']],
        [405, 'GET, HEAD', 'close'],
        method,
      );
    }
  });

  it('refuses a body, does not read it and does not take a request out of it', async () => {
    const smuggled = 'GET /live HTTP/1.1\r\nhost: a\r\n\r\n';
    for (const header of [`content-length: ${smuggled.length}`, 'transfer-encoding: chunked']) {
      const said = await raw(`GET /metrics HTTP/1.1\r\nhost: a\r\n${header}\r\n\r\n${smuggled}`).ended;
      assert.match(said, /^HTTP\/1\.1 413 /, header);
      assert.equal(said.match(/HTTP\/1\.1 /g)?.length, 1, header);
    }
  });

  it('ends what would go on: an upgrade, a tunnel, a request that waits to be continued', async () => {
    for (const [start, answer] of [
      ['GET /live HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n', /^$/],
      ['CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n', /^$/],
      [
        'POST /drain HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n',
        /^HTTP\/1\.1 417 /,
      ],
    ] as const)
      assert.match(await raw(start).ended, answer, start);
    assert.equal(view.drains, 0);
  });

  it('answers what is no HTTP, and a header that is too long, with an error and the end', async () => {
    const long = `GET /live HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`;
    for (const [bytes, answer] of [
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1\.1 400 /],
      ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', /^HTTP\/1\.1 400 /],
      [long, /^HTTP\/1\.1 431 /],
    ] as const)
      assert.match(await raw(bytes).ended, answer);
    assert.equal((await ask('/live')).status, 200);
  });

  it('bounds the connections of one peer: a new one gets the place of the one that has waited longest', async () => {
    const held = Array.from({ length: 16 }, () => raw('GET /live HTTP/1.1\r\nhost: a\r\n'));
    await until('they are accepted', () =>
      held.every(({ socket }) => !socket.connecting && !socket.destroyed),
    );
    assert.equal((await ask('/live')).status, 200);
    await until('one has made room', () => held.filter(({ socket }) => socket.destroyed).length === 1);
    assert.equal(held[0]!.socket.destroyed, true);
  });

  it('renders the metrics once for scrapes of the same second', async () => {
    let rendered = 0;
    view.metrics = () => {
      rendered++;
      return [];
    };
    await Promise.all(Array.from({ length: 10 }, () => ask('/metrics')));
    assert.equal(rendered, 1);
    clock.advance(999);
    await ask('/metrics');
    assert.equal(rendered, 1);
    clock.advance(1);
    await ask('/metrics');
    assert.equal(rendered, 2);
  });

  it('answers 500 when the metrics cannot be read, and tries again at the next scrape', async () => {
    const read = view.metrics;
    view.metrics = () => {
      throw new Error('broken');
    };
    assert.equal((await ask('/metrics')).status, 500);
    view.metrics = read;
    assert.equal((await ask('/metrics')).status, 200);
  });

  it('takes no new connection after its socket went to a successor, closes idle ones, and ends what it has begun', async () => {
    const idle = raw('GET /live HTTP/1.1\r\nhost: a\r\n\r\n');
    await until('it is answered', () => idle.socket.bytesRead > 0);
    const begun = raw('GET /live HTTP/1.1\r\n');
    await until('it is accepted', async () => (await ask('/live')).status === 200);
    observe.retire();
    assert.match(await idle.ended, /^HTTP\/1\.1 200 /);
    begun.socket.write('host: a\r\n\r\n');
    const said = await begun.ended;
    assert.match(said, /^HTTP\/1\.1 200 /);
    assert.match(said, /connection: close/i);
    await assert.rejects(ask('/live'), { code: 'ECONNREFUSED' });
  });
});
