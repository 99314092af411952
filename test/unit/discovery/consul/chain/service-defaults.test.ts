/** What the defaults of our own service, and of all proxies, say about calls that go out. */
import assert from 'node:assert/strict';
import {
  limitsOf,
  refusedDefaults,
  refusedOfService,
} from '../../../../../sidecar/discovery/consul/chain/service-defaults.js';

const entry = (UpstreamConfig: unknown) =>
  JSON.stringify({ Kind: 'service-defaults', Name: 'app', UpstreamConfig });

describe('Defaults of Consul for outbound calls', () => {
  it('service-defaults set nothing where there is no entry, or one without upstreams', () => {
    for (const text of ['', '{"Kind":"service-defaults","Name":"app","Protocol":"grpc"}'])
      assert.deepEqual(limitsOf(text, 'digits'), { unsupported: [] });
    for (const text of ['', '{"Kind":"proxy-defaults","Name":"global","Config":{"protocol":"grpc"}}'])
      assert.deepEqual(refusedDefaults(text), []);
  });

  it('service-defaults limit calls in flight and the time to connect, those of the upstream before those of all', () => {
    const text = entry({
      Overrides: [{ Name: 'digits', Limits: { MaxConcurrentRequests: 5 } }],
      Defaults: { ConnectTimeoutMs: 700, Limits: { MaxConcurrentRequests: 50 } },
    });
    assert.deepEqual(limitsOf(text, 'digits'), { maxInFlight: 5, connectTimeoutMs: 700, unsupported: [] });
    assert.deepEqual(limitsOf(text, 'other'), { maxInFlight: 50, connectTimeoutMs: 700, unsupported: [] });
  });

  it('service-defaults bound connections, calls that wait, and faults in a row', () => {
    const text = entry({
      Overrides: [
        {
          Name: 'digits',
          Limits: { MaxPendingRequests: 9 },
          PassiveHealthCheck: { MaxFailures: 3, BaseEjectionTime: 10_000_000_000 },
        },
      ],
      Defaults: {
        Limits: { MaxConnections: 7, MaxPendingRequests: 50 },
        PassiveHealthCheck: { BaseEjectionTime: '1m', EnforcingConsecutive5xx: 0 },
      },
    });
    assert.deepEqual(limitsOf(text, 'digits'), {
      maxConnections: 7,
      maxPending: 9,
      passiveHealth: { consecutiveFaults: 3, baseMs: 10_000 },
      unsupported: [],
    });
    assert.deepEqual(limitsOf(text, 'other').passiveHealth, { baseMs: 60_000, mode: 'observe' });
  });

  it('service-defaults and proxy-defaults report what is not applied', () => {
    const check = { Interval: 5, MaxEjectionPercent: 50, EnforcingConsecutive5xx: 30 };
    const override = { PassiveHealthCheck: { MaxFailures: 3, ...check } };
    const Defaults = { EnvoyClusterJSON: '{}' };
    const text = entry({ Overrides: [{ Name: 'digits', ...override }], Defaults });
    assert.deepEqual(limitsOf(text, 'digits').unsupported, [
      'service-defaults "app": UpstreamConfig.Overrides "digits".PassiveHealthCheck.Interval is not applied: an endpoint is ejected at the fault itself.',
      'service-defaults "app": UpstreamConfig.Overrides "digits".PassiveHealthCheck.MaxEjectionPercent is not applied: the sidecar has a cap of its own.',
      'service-defaults "app": UpstreamConfig.Overrides "digits".PassiveHealthCheck.EnforcingConsecutive5xx 30 is not applied: ejection is always or never.',
      'service-defaults "app": UpstreamConfig.Defaults.EnvoyClusterJSON is not applied.',
    ]);
    const Config = { local_connect_timeout_ms: 5, protocol: 'grpc' };
    const all = JSON.stringify({ Kind: 'proxy-defaults', Name: 'global', Config });
    const sentence = 'proxy-defaults: Config "local_connect_timeout_ms" is not applied.';
    assert.deepEqual(refusedDefaults(all), [sentence]);
  });

  it('an override for a service of the same name in another cluster is none', () => {
    const text = entry({ Overrides: [{ Name: 'digits', Peer: 'east', ConnectTimeoutMs: 5 }] });
    assert.deepEqual(limitsOf(text, 'digits'), { unsupported: [] });
  });

  it('what they ask of the way in, or in fields that are not known, is reported; what is so anyway is not', () => {
    // As Consul 1.16 writes it: fields that are not set stand there too.
    const unset = {
      TransparentProxy: {},
      MeshGateway: {},
      Expose: {},
      EnvoyExtensions: null,
      MaxInboundConnections: 0,
    };
    const ofEntry = {
      Kind: 'service-defaults',
      Name: 'app',
      Protocol: 'grpc',
      Meta: { a: 'b' },
      ModifyIndex: 7,
    };
    const text = (said: object) => JSON.stringify({ ...ofEntry, ...unset, ...said });
    assert.deepEqual(
      refusedOfService(text({ Mode: 'direct', MutualTLSMode: 'strict', ExternalSNI: 'x' })),
      [],
    );
    const said = { MaxInboundConnections: 9, Expose: { Paths: [{ Path: '/x' }] }, Soon: { A: { B: [1] } } };
    assert.deepEqual(refusedOfService(text(said)), [
      'service-defaults "app": Expose is not applied.',
      'service-defaults "app": MaxInboundConnections is not applied.',
      'service-defaults "app": Soon is not applied.',
    ]);
    const ofProxies = { Kind: 'proxy-defaults', Name: 'global', ...unset, MeshGateway: { Mode: 'local' } };
    assert.deepEqual(
      refusedDefaults(JSON.stringify({ ...ofProxies, FailoverPolicy: { Mode: 'sequential' } })),
      [],
    );
    assert.deepEqual(refusedDefaults(JSON.stringify({ ...ofProxies, Mode: 'transparent', constructor: 1 })), [
      'proxy-defaults: Mode is not applied.',
      'proxy-defaults: constructor is not applied.',
    ]);
    const upstream = { Protocol: 'tcp', MeshGateway: { Mode: 'remote' } };
    assert.deepEqual(
      limitsOf(entry({ Defaults: { Protocol: 'grpc', MeshGateway: {} } }), 'x').unsupported,
      [],
    );
    assert.deepEqual(limitsOf(entry({ Defaults: upstream }), 'x').unsupported, [
      'service-defaults "app": UpstreamConfig.Defaults.Protocol is not applied.',
      'service-defaults "app": UpstreamConfig.Defaults.MeshGateway is not applied.',
    ]);
    const later = { Soon: 1, Limits: { MaxStreams: 4 }, PassiveHealthCheck: { MaxFailures: 2, Other: true } };
    assert.deepEqual(limitsOf(entry({ Overrides: [{ Name: 'x', ...later }] }), 'x').unsupported, [
      'service-defaults "app": UpstreamConfig.Overrides "x".Soon is not applied.',
      'service-defaults "app": UpstreamConfig.Overrides "x".Limits.MaxStreams is not applied.',
      'service-defaults "app": UpstreamConfig.Overrides "x".PassiveHealthCheck.Other is not applied.',
    ]);
  });

  it('service-defaults are refused when they are something else', () => {
    for (const text of ['[]', '{"Kind":"service-router"}', 'null', '5']) {
      assert.throws(() => limitsOf(text, 'digits'), Error);
      assert.throws(() => refusedDefaults(text), Error);
      assert.throws(() => refusedOfService(text), Error);
    }
    assert.throws(() => limitsOf('nonsense', 'digits'), Error);
    const named = { Name: 'digits', Limits: { MaxConcurrentRequests: '5' } };
    const odd = entry({ Overrides: [null, 5, named], Defaults: [] });
    assert.deepEqual(limitsOf(odd, 'digits'), { unsupported: [] });
  });
});
