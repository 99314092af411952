import assert from 'node:assert/strict';
import { readUpstreamSettings } from '../../../../../sidecar/discovery/consul/registration/upstream-settings.js';

describe('The Config of an upstream in a registration', () => {
  it('sets the time to connect, limits and faults in a row, as Consul 1.8 documents it', () => {
    const limits = { max_connections: 7, max_pending_requests: 8, max_concurrent_requests: 9 };
    const check = { max_failures: 3, base_ejection_time: '10s' };
    const config = { connect_timeout_ms: 77, protocol: 'grpc', limits, passive_health_check: check };
    assert.deepEqual(readUpstreamSettings(config), {
      limits: {
        connectTimeoutMs: 77,
        maxConnections: 7,
        maxPending: 8,
        maxInFlight: 9,
        consecutiveFaults: 3,
        ejectionMs: 10_000,
      },
      refused: [],
    });
    assert.deepEqual(readUpstreamSettings(undefined), { limits: {}, refused: [] });
  });

  it('beyond what an option takes becomes the most that it takes', () => {
    const check = { max_failures: 5_000, base_ejection_time: 1 };
    const config = {
      connect_timeout_ms: 120_000,
      limits: { max_connections: 2e9 },
      passive_health_check: check,
    };
    assert.deepEqual(readUpstreamSettings(config).limits, {
      connectTimeoutMs: 60_000,
      maxConnections: 1_000_000,
      consecutiveFaults: 1_000,
      ejectionMs: 10,
    });
  });

  it('has each part that is not applied in a sentence, values that cannot be included', () => {
    const config = {
      envoy_cluster_json: '{}',
      connect_timeout_ms: 'soon',
      limits: { max_connections: 0, max_streams: 4 },
      passive_health_check: { interval: '30s', max_failures: 2, max_ejection_percent: 50 },
    };
    assert.deepEqual(readUpstreamSettings(config), {
      limits: { consecutiveFaults: 2 },
      refused: [
        'Config.envoy_cluster_json is not applied',
        'Config.connect_timeout_ms is not applied',
        'Config.limits.max_connections is not applied',
        'Config.limits.max_streams is not applied',
        'Config.passive_health_check.max_ejection_percent is not applied',
        'Config.passive_health_check.interval is not applied: an endpoint is ejected at the fault itself',
      ],
    });
    const soon = { passive_health_check: { base_ejection_time: 'soon' } };
    assert.deepEqual(readUpstreamSettings(soon), {
      limits: {},
      refused: ['Config.passive_health_check.base_ejection_time is not applied'],
    });
    assert.deepEqual(readUpstreamSettings({ limits: [], passive_health_check: 'on' }).refused, [
      'Config.limits is not applied',
      'Config.passive_health_check is not applied',
    ]);
  });
});
