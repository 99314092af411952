/** `checkName`: what is said of the DNS name of an upstream. The rest of the file is run by check.test.ts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { checkName, checkService } from '../../../../sidecar/cli/check/endpoints.js';
import { readAddress } from '../../../../sidecar/config/codecs/address.js';
import type { DnsConfig } from '../../../../sidecar/config/model.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { DnsServer, type Says } from '../../../kit/process/dns-server.js';
import { KubernetesApiServer } from '../../../kit/process/kubernetes-api.js';

describe('outrider check of an upstream by a DNS name', () => {
  /** The findings as lines, where DNS says this and something listens on 127.0.0.2. */
  async function linesFor(says: Says, name = 'digits.test'): Promise<string[]> {
    const dns = await DnsServer.start();
    dns.says = says;
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.2');
    afterTest(() => {
      dns.close();
      server.close();
    });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const at = readAddress(dns.address);
    assert.ok(at.ok);
    const config: DnsConfig = {
      ...{ name, port, refreshMs: 5_000, family: 'ipv4', servers: [at.value] },
    };
    const found = await checkName('digits', config);
    return found.map(({ level, what }) => `${level}: ${what}`.replaceAll(String(port), 'PORT'));
  }

  it('tells how many addresses it has, and which of them can be reached', async () => {
    assert.deepEqual(await linesFor(['127.0.0.2']), [
      'ok: digits.test, the DNS name of digits, has 1 address',
      'ok: 1 of 1 endpoints of digits can be reached',
    ]);
    assert.deepEqual(await linesFor(['127.0.0.2', '127.0.0.3']), [
      'ok: digits.test, the DNS name of digits, has 2 addresses',
      'warning: 1 of 2 endpoints of digits can be reached; not 127.0.0.3:PORT (ECONNREFUSED)',
    ]);
  });

  it('shows no other name where a dot ends the name', async () => {
    const [line] = await linesFor(['127.0.0.2'], 'digits.test.');
    assert.equal(line, 'ok: digits.test., the DNS name of digits, has 1 address');
  });

  it('fails where there is no address, with the reason', async () => {
    assert.deepEqual(await linesFor('NXDOMAIN'), [
      'failed: digits.test, the DNS name of digits: there is no such name (NXDOMAIN)',
    ]);
    assert.deepEqual(await linesFor('SERVFAIL'), [
      'failed: digits.test, the DNS name of digits: the DNS server could not find out (SERVFAIL)',
    ]);
  });
});

describe('outrider check of an upstream by a Service of Kubernetes', () => {
  async function linesFor(set: (api: KubernetesApiServer, port: number) => void): Promise<string[]> {
    const api = await KubernetesApiServer.start();
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.2');
    afterTest(async () => {
      server.close();
      await api.stop();
    });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    set(api, port);
    const config = { service: 'digits.models', port, family: 'any', server: api.url } as const;
    const found = await checkService('digits', config);
    return found.map(({ level, what }) => `${level}: ${what}`.replaceAll(String(port), 'PORT'));
  }

  it('tells how many endpoints are ready, and which of them can be reached', async () => {
    const endpoints = [
      { address: '127.0.0.2', pod: 'a' },
      { address: '127.0.0.3', pod: 'b', terminating: true },
    ];
    assert.deepEqual(await linesFor((api) => api.put('s', { endpoints })), [
      'ok: the Service digits.models of digits has 1 ready endpoint',
      'ok: 1 of 1 endpoints of digits can be reached',
    ]);
  });

  it('fails with the reason', async () => {
    const failed = 'failed: the Service digits.models of digits: ';
    assert.deepEqual(await linesFor((api) => (api.service = undefined)), [
      `${failed}found no Service "digits" in the namespace "models"; expected one of this name`,
    ]);
    assert.deepEqual(await linesFor((api) => api.put('s', { endpoints: [] })), [
      `${failed}found no pod: no pod matches its selector, or it is scaled to 0`,
    ]);
    const [line] = await linesFor((api) => (api.fault = { status: 403, message: 'no' }));
    assert.ok(line!.startsWith(`${failed}403 no: expected a Role`), line);
    const [nowhere] = (await checkService('digits', { service: 'digits', family: 'any' })).map(
      ({ what }) => what,
    );
    assert.match(nowhere!, /of digits: found no (namespace|KUBERNETES_SERVICE_HOST)/);
  });
});
