import assert from 'node:assert/strict';
import { readAddress } from '../../../../sidecar/config/codecs/address.js';
import type { DnsConfig } from '../../../../sidecar/config/model.js';
import { queryDns } from '../../../../sidecar/discovery/dns/query.js';
import { DnsServer } from '../../../kit/process/dns-server.js';

describe('A DNS query', () => {
  let server: DnsServer;
  before(async () => {
    server = await DnsServer.start();
  });
  after(() => server.close());

  const query = (over: Partial<DnsConfig> = {}) => {
    const at = readAddress(server.address);
    assert.ok(at.ok);
    return queryDns({
      ...{ name: 'digits.test', port: 1, refreshMs: 1_000, family: 'all', servers: [at.value] },
      ...over,
    });
  };

  it('gives the addresses of both families, or of one', async () => {
    server.says = ['10.0.0.2', 'fd00::1', '10.0.0.1'];
    const a = { kind: 'addresses', addresses: ['10.0.0.2', '10.0.0.1'] };
    const aaaa = { kind: 'addresses', addresses: ['fd00::1'] };
    assert.deepEqual(await query().answers, { a, aaaa });
    assert.deepEqual(await query({ family: 'ipv4' }).answers, { a });
    assert.deepEqual(await query({ family: 'ipv6' }).answers, { aaaa });
    assert.deepEqual([...new Set(server.asked)].sort(), ['digits.test A', 'digits.test AAAA']);
  });

  it('tells a name without addresses from one that does not exist', async () => {
    server.says = ['10.0.0.1'];
    assert.deepEqual((await query().answers).aaaa, { kind: 'none', why: 'the name has no address' });
    server.says = 'NXDOMAIN';
    const { a } = await query().answers;
    assert.deepEqual(a, { kind: 'none', why: 'there is no such name (NXDOMAIN)' });
  });

  it('fails when the server does, and when it is ended', async () => {
    server.says = 'SERVFAIL';
    assert.match(JSON.stringify((await query().answers).a), /"failed".*SERVFAIL/);
    server.says = 'silence';
    const running = query();
    setImmediate(() => running.cancel());
    assert.equal((await running.answers).a!.kind, 'failed');
  });
});
