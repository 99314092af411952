import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAddress } from '../../../../sidecar/config/codecs/address.js';
import type { DnsConfig } from '../../../../sidecar/config/model.js';
import { ROUND_LIMIT_MS } from '../../../../sidecar/core/discovery/round-time.js';
import { dnsQueries } from '../../../../sidecar/discovery/dns/query.js';
import { ResolverFiles } from '../../../../sidecar/discovery/dns/resolver-files.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { DnsServer } from '../../../kit/process/dns-server.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

describe('A DNS query', () => {
  const scratch = scratchForEach();
  let server: DnsServer;
  /** Stands still unless a test says otherwise: an answer is never late. */
  let clock: ManualClock;
  beforeEach(async () => {
    clock = new ManualClock();
    server = await DnsServer.start();
  });
  afterEach(() => server.close());

  /** The machine has these files, and asks the test's server. */
  const query = (over: Partial<DnsConfig> = {}, { resolvConf = '', hosts = '', before = '' } = {}) => {
    const paths = { resolvConf: join(scratch.path, 'resolv.conf'), hosts: join(scratch.path, 'hosts') };
    writeFileSync(paths.resolvConf, resolvConf === '' ? 'search .\n' : resolvConf);
    writeFileSync(paths.hosts, hosts);
    const at = readAddress(server.address);
    assert.ok(at.ok);
    const config = {
      name: 'digits.test',
      port: 1,
      refreshMs: 1_000,
      family: 'all',
      servers: [at.value],
    } as const;
    const start = dnsQueries(new ResolverFiles({}, paths), { clock, timers: clock });
    return start({ ...config, ...over }, before || undefined);
  };
  const POD = 'search ns.svc.test svc.test corp.test\noptions ndots:5\n';

  it('gives the addresses of both families, or of one', async () => {
    server.says = ['10.0.0.2', 'fd00::1', '10.0.0.1'];
    const a = { kind: 'addresses', addresses: ['10.0.0.2', '10.0.0.1'] };
    const aaaa = { kind: 'addresses', addresses: ['fd00::1'] };
    const found = 'digits.test';
    assert.deepEqual(await query().result, { answers: { a, aaaa }, found });
    assert.deepEqual(await query({ family: 'ipv4' }).result, { answers: { a }, found });
    assert.deepEqual(await query({ family: 'ipv6' }).result, { answers: { aaaa }, found });
    assert.deepEqual([...new Set(server.asked)].sort(), ['digits.test A', 'digits.test AAAA']);
  });

  it('tells a name without addresses from one that does not exist', async () => {
    server.says = ['10.0.0.1'];
    const { aaaa } = (await query().result).answers;
    assert.deepEqual(aaaa, { kind: 'none', why: 'the name has no address', isName: true });
    server.says = 'NXDOMAIN';
    const { a } = (await query().result).answers;
    assert.deepEqual(a, { kind: 'none', why: 'there is no such name (NXDOMAIN)', isName: false });
  });

  it('fails when the server does, and when it is ended, also before it was asked', async () => {
    server.says = 'SERVFAIL';
    assert.match(JSON.stringify((await query().result).answers.a), /"failed".*SERVFAIL/);
    server.says = 'silence';
    const running = query({}, { resolvConf: POD });
    setImmediate(() => running.cancel());
    assert.equal((await running.result).answers.a!.kind, 'failed');
    assert.ok(new Set(server.asked.map((each) => each.split(' ')[0])).size <= 2, server.asked.join());
  });

  it('finds the short name of a service by the search list of its pod', async () => {
    server.says = 'NXDOMAIN';
    server.names.set('digits.ns.svc.test', ['10.0.0.1']).set('digits.models.svc.test', ['10.0.0.2']);
    assert.equal((await query({ name: 'digits' }, { resolvConf: POD }).result).found, 'digits.ns.svc.test');
    assert.deepEqual([...server.asked].sort(), ['digits.ns.svc.test A', 'digits.ns.svc.test AAAA']);
    const other = await query({ name: 'digits.models' }, { resolvConf: POD }).result;
    assert.equal(other.found, 'digits.models.svc.test');
    const whole = await query({ name: 'digits.models.' }, { resolvConf: POD }).result;
    assert.equal(whole.answers.a!.kind, 'none');
    assert.equal(server.asked.at(-1)!.split(' ')[0], 'digits.models');
  });

  it('does not wait for AAAA records of a name that does not exist', async () => {
    server.says = 'NXDOMAIN';
    server.ofAaaa = 'silence';
    const { answers } = await query({ name: 'digits' }, { resolvConf: POD }).result;
    assert.deepEqual([answers.a!.kind, answers.aaaa!.kind], ['none', 'none']);
    assert.equal(server.asked.filter((each) => each.endsWith(' A')).length, 4);
    // Nor do those queries outlive the round.
    await clock.settle();
    assert.equal(clock.pending(), 0);
  });

  it('asks for the whole name within the round, although the server is silent about domains of the search list', async () => {
    server.says = 'NXDOMAIN';
    server.onSilence = () => clock.advance(clock.nextDueMs() - clock.now());
    const name = 'digits.models.svc.cluster.test';
    const external = Array.from({ length: 29 }, (_, i) => `corp${i}.test`);
    for (const domain of external) server.names.set(`${name}.${domain}`, 'silence');
    server.names.set(name, ['10.0.0.1']);
    for (const count of [2, 29]) {
      const search = ['ns.svc.test', 'svc.test', 'test', ...external.slice(0, count)].join(' ');
      const began = clock.now();
      const running = query({ name, family: 'ipv4' }, { resolvConf: `search ${search}\noptions ndots:5\n` });
      assert.equal((await running.result).found, name);
      const tookMs = clock.now() - began;
      // The last name has half a second of its own.
      assert.ok(tookMs > 1_000 && tookMs < ROUND_LIMIT_MS - 500, `${tookMs} ms`);
    }
  });

  it('believes A records although a server says that there is no such name for AAAA', async () => {
    server.says = ['10.0.0.1'];
    server.ofAaaa = 'NXDOMAIN';
    assert.equal((await query().result).answers.a!.kind, 'addresses');
  });

  it('asks for no AAAA records where resolv.conf says so, unless the file names that family', async () => {
    server.says = ['10.0.0.1', 'fd00::1'];
    const resolvConf = 'search .\noptions no-aaaa\n';
    assert.deepEqual(Object.keys((await query({}, { resolvConf }).result).answers), ['a']);
    const { answers } = await query({ family: 'ipv6' }, { resolvConf }).result;
    assert.equal(answers.aaaa!.kind, 'addresses');
  });

  it('looks at /etc/hosts first, at the name as it is written', async () => {
    server.says = ['10.0.0.9'];
    const hosts = '10.0.0.1 Digits.test\n10.0.0.2 digits.test\n';
    const listed = await query({ name: 'digits.test.' }, { hosts }).result;
    assert.deepEqual(listed, {
      answers: {
        a: { kind: 'addresses', addresses: ['10.0.0.1', '10.0.0.2'] },
        aaaa: { kind: 'none', why: 'the name has no address', isName: true },
      },
      found: '/etc/hosts',
    });
    assert.deepEqual(server.asked, []);
    // It has no address of this family, nor any name that a search list completes.
    assert.equal((await query({ family: 'ipv6' }, { hosts }).result).found, undefined);
    assert.equal((await query({ name: 'digits' }, { hosts }).result).found, 'digits');
  });

  it('reads a long answer by TCP, 2,000 addresses with a TTL of 0', async () => {
    const addresses = Array.from({ length: 2_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
    server.says = addresses;
    server.ttl = 0;
    const { a } = (await query({ family: 'ipv4' }).result).answers;
    assert.deepEqual(a, { kind: 'addresses', addresses });
    assert.deepEqual(server.asked, ['digits.test A', 'digits.test A TCP']);
  });

  it('follows aliases within the answer, and finds no address in a loop of them', async () => {
    server.says = ['=one.test', '=two.test', '10.0.0.1'];
    const kinds = async () => (await query({ family: 'ipv4' }).result).answers.a;
    assert.deepEqual(await kinds(), { kind: 'addresses', addresses: ['10.0.0.1'] });
    server.says = ['=one.test', '=digits.test', '=one.test'];
    assert.equal((await kinds())!.kind, 'none');
    server.says = ['=one.test'];
    assert.equal((await kinds())!.kind, 'none');
  });

  it('keeps to the name found before where that has no address any more', async () => {
    server.says = ['10.0.0.9'];
    server.names.set('digits.ns.svc.test', []);
    const result = await query({ name: 'digits' }, { resolvConf: POD, before: 'digits.ns.svc.test' }).result;
    assert.deepEqual([result.found, result.answers.a!.kind], ['digits.ns.svc.test', 'none']);
    assert.equal((await query({ name: 'digits' }, { resolvConf: POD }).result).found, 'digits.svc.test');
  });
});
