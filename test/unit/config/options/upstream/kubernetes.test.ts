import assert from 'node:assert/strict';
import { stringifySidecar } from '../../../../../sidecar/config/stringify.js';
import { IDENTITY, refusing, sidecarConfig, upstreamProblems } from '../../../../kit/config/problems-of.js';

describe('kubernetes of an upstream', () => {
  const file = (block: string, more = ''): string =>
    `${IDENTITY}\n${more}outbound: {upstreams: {u: {listen: "127.0.0.1:1", kubernetes: ${block}}}}`;
  const upstreamOf = (text: string) => sidecarConfig(text).outbound!.upstreams[0]!;

  it('needs nothing but the Service', () => {
    const { kubernetes, endpoints } = upstreamOf(file('{service: digits}'));
    assert.deepEqual(kubernetes, { service: 'digits', family: 'any' });
    assert.deepEqual(endpoints, []);
  });

  it('reads all of it, and keeps Consul away from this upstream', () => {
    const block =
      '{service: digits.models, port: peers, family: ipv6, server: "https://a.test:6443/", token_file: t, ca_file: /c}';
    const text = file(block, 'consul: {}\n');
    const { kubernetes, consul } = upstreamOf(text);
    assert.equal(consul, undefined);
    assert.deepEqual(upstreamOf(stringifySidecar(sidecarConfig(text))).kubernetes, kubernetes);
    assert.deepEqual(kubernetes, {
      ...{ service: 'digits.models', port: 'peers', family: 'ipv6', server: 'https://a.test:6443' },
      ...{ tokenFile: '/etc/mesh/t', caFile: '/c' },
    });
    assert.equal(upstreamOf(file('{service: digits, port: 9443}')).kubernetes?.port, 9_443);
    const proxy = upstreamOf(file('{service: digits, server: "http://127.0.0.1:8001"}'));
    assert.equal(proxy.kubernetes?.server, 'http://127.0.0.1:8001');
  });

  const kubernetes = refusing((block) => upstreamProblems(`{listen: "127.0.0.1:1", kubernetes: ${block}}`));
  kubernetes('no Service', '{port: 1}')
    .because(/service: missing/)
    .also('a whole DNS name', '{service: digits.models.svc.cluster.local}')
    .because(/service: .*expected the name of a Service with its namespace, such as "digits\.models"/)
    .also('a name that no Service has', '{service: Digits}')
    .because(/service: .*expected the name of a Service/)
    .also('a port that is none', '{service: d, port: 0}')
    .because(/port: found 0; expected a whole number from 1 to 65535/)
    .also('a name that no port has', '{service: d, port: "P 1"}')
    .because(/port: .*expected the name of a port of the Service, such as "peers", or a number/)
    .also('a server without its scheme', '{service: d, server: "10.0.0.1:443"}')
    .because(/server: .*expected the address of the API server, such as "https/)
    .also('a server in plaintext on another machine', '{service: d, server: "http://10.0.0.1:8080"}')
    .because(/server: .*expected https, as http is for a proxy on this machine/)
    .also('a user in the address', '{service: d, server: "https://me:secret@a.test:443"}')
    .because(/server: found a user in the address/)
    .also('a number in quotes as a port', '{service: d, port: "9443"}')
    .because(/port: found "9443"; expected the name of a port of the Service/)
    .also('a token for a proxy', '{service: d, server: "http://127.0.0.1:8001", token_file: t}')
    .because(
      /token_file: found beside an http server, which is a proxy with a token of its own; expected https/,
    )
    .also('roots for a proxy', '{service: d, server: "http://127.0.0.1:8001", ca_file: c}')
    .because(/ca_file: found beside an http server/);

  for (const [other, block] of [
    ['endpoints', 'endpoints: ["10.0.0.1:1"]'],
    ['dns', 'dns: {name: d.test, port: 1}'],
  ] as const)
    it(`stands alone: not beside ${other}`, () => {
      assert.deepEqual(upstreamProblems(`{listen: "127.0.0.1:1", kubernetes: {service: d}, ${block}}`), [
        `kubernetes: found beside ${other}; expected only one of them`,
      ]);
    });
});
