import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type ListenOptions } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { ConsulAgent } from '../../../../../sidecar/discovery/consul/client/client.js';
import { AgentError, type GetOptions } from '../../../../../sidecar/discovery/consul/client/response.js';
import { agentSettings } from '../../../../../sidecar/discovery/consul/client/settings.js';
import { systemTimers } from '../../../../../sidecar/runtime/time/timers.js';
import { type Asked, LoopbackAgent } from '../../../../kit/consul/loopback-agent.js';
import { CONFIG } from '../../../../kit/consul/scripted-agent.js';
import { TestAuthority } from '../../../../kit/identity/certificates.js';
import { afterTest } from '../../../../kit/mocha/after-test.js';
import { scratchForTest } from '../../../../kit/mocha/scratch.js';
import { Scratch } from '../../../../kit/process/outrider.js';
import { until } from '../../../../kit/process/processes.js';

const TOKEN = '5ec4e7-70ce-4-marker';
const OPTIONS: GetOptions = { timeoutMs: 10_000, maxBytes: 1_000_000 };

async function failure(promise: Promise<unknown>): Promise<AgentError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof AgentError, String(error));
    assert.ok(!error.message.includes('\n'));
    assert.ok(!error.message.includes(TOKEN));
    return error;
  }
  throw new Error('it succeeded');
}

describe('ConsulAgent', () => {
  let loopback: LoopbackAgent;
  const started = async (where?: ListenOptions): Promise<LoopbackAgent> => {
    const agent = await LoopbackAgent.start(where);
    afterTest(() => agent.stop());
    return agent;
  };
  beforeEach(async () => {
    loopback = await started();
  });

  const read = (client = loopback.client(), over: Partial<GetOptions> = {}) =>
    client.get('/kv/a', {}, { ...OPTIONS, ...over });
  const areClosed = () => until('the connections are closed', () => loopback.sockets.size === 0);
  /** Method, URL and body of what was asked. */
  const asked = () => loopback.asked.map(({ method, url, body }) => [method, url, body]);

  it('the Consul client asks for a path with its query, and hands back status, index, headers and the bytes as they came', async () => {
    loopback.handler = (_request, response) => {
      response.setHeader('x-consul-index', '42').setHeader('x-consul-knownleader', 'true');
      response.end('{"a":\xff}', 'latin1');
    };
    const client = loopback.client();
    assert.equal(client.where, `http://127.0.0.1:${loopback.port}`);
    const query = { index: '7', filter: 'x == "y z"', stale: '' };
    const { status, index, body, headers } = await client.get('/health/connect/a%2Fb', query, OPTIONS);
    assert.deepEqual([status, index, headers['x-consul-knownleader']], [200, 42, 'true']);
    assert.deepEqual([...body], [...Buffer.from('{"a":\xff}', 'latin1')]);
    const [{ method, url, headers: sent }] = loopback.asked as [Asked];
    assert.deepEqual([method, sent['x-consul-token']], ['GET', undefined]);
    assert.equal(url, '/v1/health/connect/a%2Fb?index=7&filter=x%20%3D%3D%20%22y%20z%22&stale=');
  });

  it('the Consul client has no index where there is no header for it, or no number in it', async () => {
    const client = loopback.client();
    for (const [header, index] of [
      [undefined, undefined],
      ['soon', undefined],
      ['0', 0],
    ] as const) {
      loopback.handler = (_request, response) => {
        if (header !== undefined) response.setHeader('x-consul-index', header);
        response.end();
      };
      assert.equal((await read(client)).index, index);
    }
  });

  it('the Consul client sends the token with each request, and reads its file again when it changed', async () => {
    const path = join(scratchForTest().path, 'token');
    writeFileSync(path, `${TOKEN}\n`);
    const client = loopback.client({ CONSUL_HTTP_TOKEN_FILE: path });
    await read(client);
    writeFileSync(path, 'another-one');
    await client.put('/kv/a', {}, undefined, OPTIONS);
    writeFileSync(path, '');
    await client.deregisterService('a', OPTIONS);
    rmSync(path);
    await client.get('/agent/services', {}, OPTIONS);
    const tokens = loopback.asked.map(({ headers }) => headers['x-consul-token']);
    assert.deepEqual(tokens, [TOKEN, 'another-one', 'another-one', 'another-one']);
  });

  it('the Consul client puts JSON, and nothing where there is nothing', async () => {
    const client = loopback.client();
    await client.put('/config', { cas: '3' }, { Kind: 'service-router' }, OPTIONS);
    await client.put('/agent/leave', {}, undefined, OPTIONS);
    assert.deepEqual(asked(), [
      ['PUT', '/v1/config?cas=3', '{"Kind":"service-router"}'],
      ['PUT', '/v1/agent/leave', ''],
    ]);
  });

  it('the Consul client deregisters services and sets checks, whatever their names', async () => {
    const client = loopback.client();
    await client.deregisterService('digits/1 a', OPTIONS);
    await client.updateCheck('check:1', 'warning', 'it is slow', OPTIONS);
    assert.deepEqual(asked(), [
      ['PUT', '/v1/agent/service/deregister/digits%2F1%20a', ''],
      ['PUT', '/v1/agent/check/update/check%3A1', '{"Status":"warning","Output":"it is slow"}'],
    ]);
  });

  it('the Consul client rejects every status but 2xx with what was said, in one line and without the token', async () => {
    const client = loopback.client({ CONSUL_HTTP_TOKEN: TOKEN });
    for (const [status, body, message] of [
      [403, 'Permission denied', '403 Permission denied'],
      [404, '', '404'],
      [
        429,
        'Your IP is issuing too many requests\nreally',
        '429 Your IP is issuing too many requests really',
      ],
      [500, `token ${TOKEN} is\u0007 bad`, '500 token [token] is? bad'],
      [301, 'Moved', '301 Moved'],
    ] as const) {
      const head = { 'x-consul-index': '9' };
      loopback.handler = (_request, response) => response.writeHead(status, head).end(body);
      for (const ask of [
        () => read(client),
        () => client.deregisterService('a', OPTIONS),
        () => client.leader(OPTIONS),
      ]) {
        const error = await failure(ask());
        assert.deepEqual([error.fault, error.status, error.message], ['status', status, message]);
        assert.equal(error.answer?.index, 9);
      }
    }
  });

  it('the Consul client keeps little of a large refusal', async () => {
    loopback.handler = (_request, response) => response.writeHead(500).end('x'.repeat(900_000));
    const error = await failure(read());
    assert.deepEqual([error.fault, error.answer?.body.length], ['status', 4_096]);
    assert.ok(error.message.length < 250);
  });

  for (const [how, headers] of [
    ['announced by its length', { 'content-length': '50000000' }],
    ['in chunks', {}],
  ] as const) {
    it(`the Consul client cuts off an answer of 50 MB ${how}, without having taken it`, async () => {
      let written = 0;
      loopback.handler = (request, response) => {
        response.writeHead(200, headers);
        const chunk = Buffer.alloc(50_000, 'x');
        const pump = (): void => {
          while (written < 50_000_000 && !response.destroyed) {
            written += chunk.length;
            if (!response.write(chunk)) return;
          }
        };
        response.on('drain', pump);
        request.socket.on('close', () => response.destroy());
        pump();
      };
      const error = await failure(read());
      assert.equal(error.fault, 'too-large');
      assert.match(error.message, /larger than 1000000 bytes/);
      await areClosed();
      assert.ok(written < 25_000_000, `${written} bytes were written`);
    });
  }

  it('the Consul client bounds, times out and cancels the typed functions of the npm client too', async () => {
    const client = loopback.client();
    loopback.handler = (_request, response) => response.end(Buffer.alloc(2_000_000));
    assert.equal((await failure(client.leader(OPTIONS))).fault, 'too-large');
    loopback.handler = () => {};
    assert.equal((await failure(client.leader({ ...OPTIONS, timeoutMs: 50 }))).fault, 'timeout');
    const last = failure(client.deregisterService('a', OPTIONS));
    await until('it has begun', () => loopback.asked.length === 3);
    client.close();
    assert.equal((await last).fault, 'cancelled');
    await areClosed();
  });

  it('the Consul client takes an answer of exactly the bound, and of many pieces', async () => {
    const body = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => i % 251));
    loopback.handler = (_request, response) => {
      for (let at = 0; at < body.length; at += 10_007) response.write(body.subarray(at, at + 10_007));
      response.end();
    };
    assert.ok((await read()).body.equals(body));
  });

  it('the Consul client fails at once when the connection breaks within the answer', async () => {
    loopback.handler = (request, response) => {
      response.write('[1, 2');
      setImmediate(() => request.socket.destroy());
    };
    const error = await failure(read(loopback.client(), { timeoutMs: 60_000 }));
    assert.equal(error.fault, 'unreachable');
    assert.match(error.message, /broke within the answer/);
  });

  it('the Consul client fails when the connection breaks before the answer, when the port is closed, and when it is no HTTP', async () => {
    loopback.handler = (request) => request.socket.destroy();
    assert.equal((await failure(read())).fault, 'unreachable');

    const gone = await LoopbackAgent.start();
    const client = loopback.client({}, `http://127.0.0.1:${gone.port}`);
    await gone.stop();
    const error = await failure(read(client));
    assert.deepEqual([error.fault, error.message], ['unreachable', `${client.where}: ECONNREFUSED`]);

    const other = createServer((socket) => socket.on('error', () => {}).end('220 smtp.example.org\r\n'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    afterTest(() => other.close());
    const { port } = other.address() as { port: number };
    assert.equal((await failure(read(loopback.client({}, `http://127.0.0.1:${port}`)))).fault, 'unreachable');
  });

  for (const [when, begin] of [
    ['before', () => {}],
    ['within', (write: () => void) => write()],
  ] as const) {
    it(`the Consul client times out ${when} the answer`, async () => {
      loopback.handler = (_request, response) => begin(() => response.write('[1,'));
      const error = await failure(read(loopback.client(), { timeoutMs: 50 }));
      assert.equal(error.fault, 'timeout');
      assert.match(error.message, /did not answer within 50 ms/);
      await areClosed();
    });
  }

  it('the Consul client ends at the signal, and leaves no connection behind', async () => {
    loopback.handler = () => {};
    const abort = new AbortController();
    const reading = read(loopback.client(), { signal: abort.signal });
    await until('the read has begun', () => loopback.asked.length === 1);
    abort.abort();
    assert.equal((await failure(reading)).fault, 'cancelled');
    await areClosed();
    const late = read(loopback.client(), { signal: abort.signal });
    assert.equal((await failure(late)).fault, 'cancelled');
    assert.equal(loopback.asked.length, 1);
  });

  it('the Consul client ends what is under way when closed, and begins nothing after', async () => {
    loopback.handler = () => {};
    const client = loopback.client();
    const reads = [1, 2, 3].map(() => failure(read(client)));
    await until('the reads have begun', () => loopback.asked.length === 3);
    client.close();
    for (const each of reads) assert.equal((await each).fault, 'cancelled');
    assert.equal((await failure(read(client))).fault, 'cancelled');
    await areClosed();
  });

  it('the Consul client uses a connection again, and keeps few of them', async () => {
    const client = loopback.client();
    for (let i = 0; i < 5; i++) await read(client);
    assert.equal(loopback.sockets.size, 1);
    const held: (() => void)[] = [];
    loopback.handler = (_request, response) => held.push(() => response.end('[]'));
    const reads = Array.from({ length: 20 }, () => read(client));
    await until('all are there', () => held.length === 20);
    for (const release of held) release();
    await Promise.all(reads);
    await until('most are closed', () => loopback.sockets.size <= 4);
  });

  it('the Consul client speaks through a Unix socket, to an IPv6 address, and under a path', async () => {
    const path = join(scratchForTest().path, 'consul.sock');
    const unix = await started({ path });
    await read(unix.client({}, `unix://${path}`));
    assert.equal(unix.asked[0]?.url, '/v1/kv/a');

    const six = await started({ host: '::1', port: 0 }).catch(() => undefined);
    if (six !== undefined) {
      const client = six.client({}, `http://[::1]:${six.port}`);
      assert.equal(client.where, `http://[::1]:${six.port}`);
      await read(client);
      assert.equal(six.asked[0]?.headers.host, `[::1]:${six.port}`);
    }

    await read(loopback.client({}, `http://127.0.0.1:${loopback.port}/consul/`));
    assert.equal(loopback.asked.at(-1)?.url, '/consul/v1/kv/a');
  });

  it('the Consul client shows no token when it is printed', () => {
    const client = loopback.client({ CONSUL_HTTP_TOKEN: TOKEN });
    const shown = inspect(client, { depth: 20, showHidden: true });
    assert.ok(shown.includes('127.0.0.1'));
    assert.ok(!shown.includes(TOKEN));
  });

  it('the Consul client presents the certificate, and verifies by the authority, that its files hold when it connects', async () => {
    const scratch = new Scratch();
    afterTest(() => scratch.remove());
    const put = async (authority: TestAuthority) => {
      const { certChainPem, keyPem } = await authority.leaf({ dnsNames: ['localhost'] });
      scratch.write('ca.pem', authority.pem);
      scratch.write('key.pem', keyPem);
      scratch.write('cert.pem', certChainPem);
      const server = await authority.leaf({ dnsNames: ['localhost'] });
      return { cert: server.certChainPem, key: server.keyPem, ca: authority.pem };
    };
    const [one, other] = [await TestAuthority.root(), await TestAuthority.root()];
    const server = createHttpsServer({ ...(await put(one)), requestCert: true }, (_request, response) =>
      response.end('[]'),
    );
    server.listen(0, 'localhost');
    await once(server, 'listening');
    const address = `https://localhost:${(server.address() as AddressInfo).port}`;
    const file = (name: string) => join(scratch.path, name);
    const tls = { ca: file('ca.pem'), cert: file('cert.pem'), key: file('key.pem') };
    const client = new ConsulAgent(agentSettings({ ...CONFIG, address, tls }, {}), systemTimers);
    afterTest(() => {
      client.close();
      server.closeAllConnections();
      server.close();
    });
    assert.equal((await read(client)).status, 200);
    server.setSecureContext(await put(other));
    server.closeAllConnections();
    await until('it connects with the new ones', async () => {
      const answer = await read(client).catch(() => undefined);
      return answer?.status === 200;
    });
    // A certificate whose key is not there yet: the ones before stay.
    scratch.write('cert.pem', (await one.leaf()).certChainPem);
    server.closeAllConnections();
    await until('it connects with the ones before', async () => {
      const answer = await read(client).catch(() => undefined);
      return answer?.status === 200;
    });
  });
});
