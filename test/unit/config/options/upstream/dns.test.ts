import assert from 'node:assert/strict';
import { stringifySidecar } from '../../../../../sidecar/config/stringify.js';
import { IDENTITY, refusing, sidecarConfig, upstreamProblems } from '../../../../kit/config/problems-of.js';

describe('dns of an upstream', () => {
  const file = (block: string, more = ''): string =>
    `${IDENTITY}\n${more}outbound: {upstreams: {u: {listen: "127.0.0.1:1", dns: ${block}}}}`;
  const upstreamOf = (text: string) => sidecarConfig(text).outbound!.upstreams[0]!;

  it('has a period, both families and the servers of the machine unless it says otherwise', () => {
    const { dns, endpoints } = upstreamOf(file('{name: digits.models.svc.cluster.local, port: 8443}'));
    const expected = { name: 'digits.models.svc.cluster.local', port: 8443, refreshMs: 5_000 };
    assert.deepEqual(dns, { ...expected, family: 'all', servers: [] });
    assert.deepEqual(endpoints, []);
  });

  it('reads all of it, and keeps Consul away from this upstream', () => {
    const text = file(
      '{name: d.test, port: 1, refresh: 1m, family: ipv6, servers: ["[::1]:53", "10.0.0.1:5353"]}',
      'consul: {}\n',
    );
    const { dns, consul } = upstreamOf(text);
    assert.equal(consul, undefined);
    assert.deepEqual(upstreamOf(stringifySidecar(sidecarConfig(text))).dns, dns);
    assert.deepEqual(dns, {
      ...{ name: 'd.test', port: 1, refreshMs: 60_000, family: 'ipv6' },
      servers: [
        { kind: 'tcp', host: '::1', port: 53 },
        { kind: 'tcp', host: '10.0.0.1', port: 5353 },
      ],
    });
  });

  it('takes the longest name that DNS has, with a dot at its end too', () => {
    const name = `${`${'a'.repeat(61)}.`.repeat(4)}abcde`;
    assert.equal(name.length, 253);
    for (const each of [name, `${name}.`])
      assert.equal(upstreamOf(file(`{name: ${each}, port: 1}`)).dns?.name, each);
  });

  const dns = refusing((block) => upstreamProblems(`{listen: "127.0.0.1:1", dns: ${block}}`));
  dns('an address for a name', '{name: 10.0.0.1, port: 1}')
    .because(/found "10\.0\.0\.1"; expected a DNS name: an address stands in endpoints/)
    .also('a name that makes no sense', '{name: "a b", port: 1}')
    .because(/expected a DNS name such as/)
    .also('an address that looks whole', '{name: 10.0.0.1., port: 1}')
    .because(/expected a DNS name: an address stands in endpoints/)
    .also('a name of 254 bytes', `{name: ${`${'a'.repeat(61)}.`.repeat(4)}abcdef, port: 1}`)
    .because(/name: found a name of 254 bytes; expected at most 253, as DNS has no longer ones/)
    .also('64 bytes without a dot', `{name: ${'a'.repeat(64)}.test, port: 1}`)
    .because(/found 64 bytes without a dot, "a{64}"; expected at most 63/)
    .also('a name without a port', '{name: d.test}')
    .because(/port: missing/)
    .also('a period that is too short', '{name: d.test, port: 1, refresh: 100ms}')
    .because(/refresh: found "100ms"; expected 1s to 1h/)
    .also('a server by name', '{name: d.test, port: 1, servers: ["ns.test:53"]}')
    .because(/servers\[0\]: found "ns\.test:53"; expected the address of a DNS server/)
    .also(
      'more servers than one would wait for',
      `{name: d.test, port: 1, servers: [${Array(9).fill('"10.0.0.1:53"')}]}`,
    )
    .because(/at most 8 servers/);
  const beside = refusing(upstreamProblems);
  beside(
    'dns beside endpoints',
    '{listen: "127.0.0.1:1", endpoints: ["10.0.0.1:1"], dns: {name: d.test, port: 1}}',
  )
    .because(/dns: found beside endpoints; expected only one of them/)
    .also('dns beside consul', '{listen: "127.0.0.1:1", consul: {}, dns: {name: d.test, port: 1}}')
    .because(/dns: found beside consul; expected only one of them/);
});
