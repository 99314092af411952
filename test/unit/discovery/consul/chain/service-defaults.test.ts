/** What the defaults of our own service, and of all proxies, say about calls that go out. */
import assert from 'node:assert/strict';
import { limitsOf, refusedDefaults } from '../../../../../sidecar/discovery/consul/chain/service-defaults.js';

const entry = (UpstreamConfig: unknown) =>
  JSON.stringify({ Kind: 'service-defaults', Name: 'app', UpstreamConfig });

describe('Defaults of Consul for outbound calls', () => {
  it('service-defaults set nothing where there is no entry, or one without upstreams', () => {
    assert.deepEqual(limitsOf('', 'digits'), { unsupported: [] });
    assert.deepEqual(limitsOf('{"Kind":"service-defaults","Name":"app","Protocol":"grpc"}', 'digits'), {
      unsupported: [],
    });
    assert.deepEqual(refusedDefaults(''), []);
    assert.deepEqual(
      refusedDefaults('{"Kind":"proxy-defaults","Name":"global","Config":{"protocol":"grpc"}}'),
      [],
    );
  });

  it('service-defaults limit calls in flight and the time to connect, those of the upstream before those of all', () => {
    const text = entry({
      Overrides: [{ Name: 'digits', Limits: { MaxConcurrentRequests: 5 } }],
      Defaults: { ConnectTimeoutMs: 700, Limits: { MaxConcurrentRequests: 50 } },
    });
    assert.deepEqual(limitsOf(text, 'digits'), { maxInFlight: 5, connectTimeoutMs: 700, unsupported: [] });
    assert.deepEqual(limitsOf(text, 'other'), { maxInFlight: 50, connectTimeoutMs: 700, unsupported: [] });
  });

  it('service-defaults and proxy-defaults report what is not applied', () => {
    const text = entry({
      Overrides: [
        { Name: 'digits', PassiveHealthCheck: { MaxFailures: 3 }, Limits: { MaxPendingRequests: 9 } },
      ],
      Defaults: { EnvoyClusterJSON: '{}', Limits: { MaxConnections: 9 } },
    });
    assert.deepEqual(limitsOf(text, 'digits').unsupported, [
      'service-defaults "app": UpstreamConfig.Overrides "digits".PassiveHealthCheck is not applied.',
      'service-defaults "app": UpstreamConfig.Overrides "digits".Limits.MaxPendingRequests is not applied.',
      'service-defaults "app": UpstreamConfig.Defaults.EnvoyClusterJSON is not applied.',
      'service-defaults "app": UpstreamConfig.Defaults.Limits.MaxConnections is not applied.',
    ]);
    const all = JSON.stringify({
      Kind: 'proxy-defaults',
      Name: 'global',
      Config: { local_connect_timeout_ms: 5, protocol: 'grpc' },
    });
    assert.deepEqual(refusedDefaults(all), [
      'proxy-defaults: Config "local_connect_timeout_ms" is not applied.',
    ]);
  });

  it('service-defaults are refused when they are something else', () => {
    for (const text of ['[]', '{"Kind":"service-router"}', 'null', '5']) {
      assert.throws(() => limitsOf(text, 'digits'), Error);
      assert.throws(() => refusedDefaults(text), Error);
    }
    assert.throws(() => limitsOf('nonsense', 'digits'), Error);
    const odd = entry({
      Overrides: [null, 5, { Name: 'digits', Limits: { MaxConcurrentRequests: '5' } }],
      Defaults: [],
    });
    assert.deepEqual(limitsOf(odd, 'digits'), { unsupported: [] });
  });
});
