import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type AdminServer, startAdmin } from '../../../sidecar/admin/server.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';
import { anEndpoint, FakeView } from '../../kit/stack/admin-view.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

interface Reply {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

describe('admin server', () => {
  let view: FakeView;
  let admin: AdminServer;
  let port: number;

  beforeEach(async () => {
    view = new FakeView();
    admin = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port: 0 }, view);
    assert.equal(admin.address.kind, 'tcp');
    port = admin.address.kind === 'tcp' ? admin.address.port : 0;
  });

  afterEach(() => admin.close());

  function ask(
    path: string,
    options: { method?: string; headers?: Record<string, string> } = {},
  ): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
        const { statusCode: status = 0, headers } = response;
        text(response).then((body) => resolve({ status, headers, body }), reject);
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  /** A connection on which this much of a request has been sent. */
  function connection(bytes: string): Socket {
    const socket = connect(port, '127.0.0.1');
    afterTest(() => socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    socket.write(bytes);
    return socket;
  }

  /** What the server says to these bytes, until it closes. */
  function raw(bytes: string): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    afterTest(() => socket.destroy());
    socket.write(bytes);
    return text(socket);
  }

  const post = (path: string, headers: Record<string, string> = {}) => ask(path, { method: 'POST', headers });
  const statusWith = async (path: string, headers: Record<string, string>) =>
    (await ask(path, { headers })).status;
  const said = (reply: Promise<Reply>) => reply.then(({ status, body }) => [status, body]);

  it('has the history where one is kept, from a slot on', async () => {
    assert.equal((await ask('/history')).status, 404);
    const clock = new ManualClock();
    const kept = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port: 0 }, view, {
      time: { clock, timers: clock },
    });
    afterTest(() => kept.close());
    port = kept.address.kind === 'tcp' ? kept.address.port : 0;
    clock.advance(10_000);
    assert.equal(JSON.parse((await ask('/history')).body).self, 'rrr');
    assert.equal(JSON.parse((await ask('/history?since=1')).body).self, 'r');
    assert.equal((await ask('/history?since=x')).status, 400);
  });

  it('is live whatever the state', async () => {
    view.reasons = ['the model is starting'];
    assert.equal((await ask('/live')).status, 200);
  });

  it('is ready only without reasons, and otherwise says each of them', async () => {
    assert.deepEqual(await said(ask('/ready')), [200, 'ready\n']);
    view.reasons = ['the model is starting', 'no certificate yet'];
    assert.deepEqual(await said(ask('/ready')), [503, 'the model is starting\nno certificate yet\n']);
  });

  it('exposes the families of the view and the numbers of the process', async () => {
    view.metricFamilies = [
      { kind: 'counter', name: 'outrider_calls_total', help: 'Calls.', samples: [{ labels: {}, value: 3 }] },
    ];
    const reply = await ask('/metrics');
    assert.match(String(reply.headers['content-type']), /^text\/plain; version=0\.0\.4/);
    assert.match(reply.body, /^outrider_calls_total 3$/m);
    for (const name of ['cpu_seconds_total', 'resident_memory_bytes', 'event_loop_lag_seconds'])
      assert.match(reply.body, new RegExp(`^process_${name} [0-9.e+-]+$`, 'm'));
  });

  it('reports endpoints, queue, model and readiness as JSON', async () => {
    view.rows = [anEndpoint({ state: 'ejected', why: '5 faults in a row' })];
    view.modelReport = { state: 'ready', why: '', pid: 12, restarts: 1 };
    const report = JSON.parse((await ask('/endpoints')).body);
    assert.equal(report.ready, true);
    assert.equal(report.endpoints[0].why, '5 faults in a row');
    assert.deepEqual(report.model, { state: 'ready', why: '', pid: 12, restarts: 1 });
    assert.deepEqual(JSON.parse((await ask('/config')).body), { service: 'digits' });
  });

  it('shows the configuration without what may be secret in it', async () => {
    const config = (secret: string, language: string) => ({
      service: 'digits',
      model: {
        command: [
          ...['env', `HF_TOKEN=${secret}`, 'serve', '--api-key', secret, `--ssl-key=${secret}`],
          ...['--max-tokens', '100', '--tokenizer', 'org/t', '--token', '--model=a=b'],
        ],
        env: { HF_TOKEN: secret, LANG: language },
      },
      wake: { url: `https://wake.example/now?${secret}` },
      apiKey: secret,
      identity: { cert: 'cert.pem', key: secret },
      balance: { kind: 'ring-hash', key: 'x-session' },
    });
    view.config = () => config('hunter2', 'C');
    const { body } = await ask('/config');
    assert.doesNotMatch(body, /hunter2/);
    assert.deepEqual(JSON.parse(body), config('[redacted]', '[redacted]'));
  });

  it('answers a drain at once, or when it is done if asked to wait', async () => {
    assert.equal((await post('/drain')).status, 202);
    let done = false;
    const waiting = said(post('/drain?wait')).finally(() => {
      done = true;
    });
    assert.equal((await ask('/live')).status, 200);
    assert.equal(done, false);
    view.endDrain();
    assert.deepEqual(await waiting, [200, 'drained\n']);
    assert.equal(view.drains, 2);
  });

  it('does not drain on a GET, and says which method it takes', async () => {
    const reply = await ask('/drain');
    assert.equal(reply.status, 405);
    assert.equal(reply.headers['allow'], 'POST');
    assert.equal(view.drains, 0);
  });

  it('answers HEAD with the headers of GET and no body', async () => {
    const reply = await ask('/ready', { method: 'HEAD' });
    assert.deepEqual([reply.status, reply.body, reply.headers['content-length']], [200, '', '6']);
  });

  it('lists what exists when asked for what does not', async () => {
    for (const path of ['/nothing', '/__proto__', '/constructor', '//live']) {
      const reply = await ask(path);
      assert.equal(reply.status, 404, path);
      assert.match(reply.body, /GET {4}\/metrics/);
    }
  });

  it('asks for the token of its file before it changes something, and for nothing else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outrider-token-'));
    afterTest(() => rmSync(folder, { recursive: true }));
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, 'a-token-of-20-signs!\n');
    await admin.close();
    admin = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port }, view, { tokenFile });
    for (const path of ['/', '/ready', '/metrics', '/endpoints', '/faults'])
      assert.equal((await ask(path)).status, 200, path);
    for (const [method, path] of [
      ['POST', '/drain'],
      ['POST', '/takeover'],
      ['POST', '/faults'],
      ['DELETE', '/faults'],
    ] as const) {
      const { status, headers } = await ask(path, {
        method,
        headers: { authorization: 'Bearer a-token-of-20-signs' },
      });
      assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer realm="outrider"'], path);
    }
    assert.equal(view.drains, 0);
    assert.equal((await post('/drain', { authorization: 'Bearer a-token-of-20-signs!' })).status, 202);
  });

  it('refuses names in the Host header, which is how a page reaches loopback by DNS rebinding', async () => {
    const evil = 'evil.example';
    for (const host of [
      evil,
      `${evil}:80`,
      `127.0.0.1.${evil}`,
      `localhost.${evil}`,
      '[',
      `[::1]${evil}`,
      `[::1]:80.${evil}`,
      `[::1]:80@${evil}`,
      `localhost:80:${evil}`,
      'localhost:',
      '[::1]:',
      '127.0.0.1:x',
    ])
      assert.equal(await statusWith('/config', { host }), 403, host);
    for (const host of [
      '127.0.0.1',
      `localhost:${port}`,
      'LOCALHOST',
      '[::1]',
      '[::1]:80',
      '[fe80::1%25eth0]:80',
      '10.1.2.3:4401',
    ])
      assert.equal(await statusWith('/config', { host }), 200, host);
  });

  it('refuses two Host headers, of which another reader may take the other one', async () => {
    for (const [first, second] of [
      ['localhost', 'evil.example'],
      ['evil.example', 'localhost'],
      ['localhost', 'localhost'],
    ]) {
      const said = await raw(
        `GET /config HTTP/1.1\r\nHost: ${first}\r\nhost: ${second}\r\nconnection: close\r\n\r\n`,
      );
      assert.match(said, /^HTTP\/1\.1 40[03] /, `${first}, ${second}`);
    }
  });

  it('serves a new connection while slow ones hold every place, and closes the one that waits longest', async () => {
    const slow = Array.from({ length: 128 }, () => connection('GET /live HTTP/1.1\r\nhost: a'));
    await until('they are accepted', () => slow.every(({ connecting }) => !connecting));
    assert.equal((await ask('/live')).status, 200);
    await until('the oldest has made room', () => slow.filter(({ destroyed }) => destroyed).length === 1);
    assert.equal(slow[0]!.destroyed, true);
  });

  it('closes no connection that it is answering, however many others come', async () => {
    const drains: (() => void)[] = [];
    view.drain = () => new Promise((resolve) => void drains.push(resolve));
    const waiting = post('/drain?wait');
    await until('it is asked', () => drains.length === 1);
    const slow = Array.from({ length: 200 }, () => connection('GET /live HTTP/1.1\r\n'));
    await until('they are accepted', () =>
      slow.every(({ connecting, destroyed }) => destroyed || !connecting),
    );
    assert.equal((await ask('/live')).status, 200);
    drains[0]!();
    assert.equal((await waiting).status, 200);
  });

  it('refuses a drain that another site posts through a browser', async () => {
    for (const [name, value] of [
      ['origin', 'http://evil.example'],
      ['origin', 'null'],
      ['sec-fetch-site', 'cross-site'],
    ] as const)
      assert.equal((await post('/drain', { [name]: value })).status, 403, value);
    assert.equal(view.drains, 0);
    const own = { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'same-origin' };
    assert.equal((await post('/drain', own)).status, 202);
  });

  it('refuses images, frames and fetches of other pages, also of this machine, and no link that leads here', async () => {
    let taps = 0;
    view.openTap = () => {
      taps++;
      return undefined;
    };
    const how = (site: string, mode: string, dest: string) =>
      statusWith('/tap', { 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest });
    for (const site of ['cross-site', 'same-site'])
      for (const [mode, dest] of [
        ['no-cors', 'image'],
        ['navigate', 'iframe'],
        ['cors', 'empty'],
      ] as const)
        assert.equal(await how(site, mode, dest), 403, `${site} ${dest}`);
    assert.equal(await statusWith('/metrics', { origin: 'http://127.0.0.1:3000' }), 403);
    assert.equal(taps, 0);
    // 503: the tap was asked for, and this view has no place.
    assert.equal(await how('cross-site', 'navigate', 'document'), 503);
    assert.equal(await how('same-origin', 'cors', 'empty'), 503);
    assert.equal(await how('none', 'navigate', 'document'), 503);
  });

  it('never allows another origin to read an answer, and lets the page run only its own script', async () => {
    const reply = await ask('/', { headers: { origin: `http://127.0.0.1:${port}` } });
    assert.equal(reply.headers['access-control-allow-origin'], undefined);
    const policy = String(reply.headers['content-security-policy']);
    const nonce = /script-src 'nonce-([^']+)'/.exec(policy)?.[1];
    assert.match(policy, /default-src 'none'/);
    assert.ok(nonce !== undefined && reply.body.includes(`<script nonce="${nonce}">`));
    assert.notEqual((await ask('/')).headers['content-security-policy'], policy);
  });

  it('answers 500 without detail when the view fails, and lives on', async () => {
    view.endpoints = () => {
      throw new Error('secret detail');
    };
    const reply = await ask('/endpoints');
    assert.equal(reply.status, 500);
    assert.doesNotMatch(reply.body, /secret/);
    assert.equal((await ask('/live')).status, 200);
  });

  it('refuses oversized headers and garbage without harm to others', async () => {
    assert.equal(await statusWith('/live', { 'x-big': 'x'.repeat(20_000) }), 431);
    await new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.end('\x16\x03\x01 garbage\r\n\r\n'));
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      socket.resume();
    });
    assert.equal((await ask('/live')).status, 200);
  });

  it('says why it cannot listen', async () => {
    await assert.rejects(startAdmin({ kind: 'tcp', host: '127.0.0.1', port }, view), { code: 'EADDRINUSE' });
  });

  it('listens on a Unix socket too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
    const path = join(folder, 'admin.sock');
    const other = await startAdmin({ kind: 'unix', path }, view);
    afterTest(() => rmSync(folder, { recursive: true }));
    afterTest(() => other.close());
    const status = await new Promise((resolve, reject) => {
      request({ socketPath: path, path: '/live', agent: false }, (r) => {
        r.resume();
        resolve(r.statusCode);
      })
        .on('error', reject)
        .end();
    });
    assert.equal(status, 200);
  });
});
