import assert from 'node:assert/strict';
import { findEnvoy, viewsIn } from '../../../../../sidecar/cli/chaos/arms/envoy.js';
import { envoyBootstrap } from '../../../../../sidecar/cli/chaos/arms/envoy-config.js';
import { JOB } from '../../../../../sidecar/cli/chaos/protocol/service.js';

describe('the arm with Envoy', () => {
  it('takes the program that the environment names, and none that is not there', () => {
    assert.equal(findEnvoy({ OUTRIDER_ENVOY: process.execPath, PATH: '' }), process.execPath);
    assert.notEqual(findEnvoy({ OUTRIDER_ENVOY: '/nowhere/envoy', PATH: '' }), '/nowhere/envoy');
  });

  it('sees in the page of clusters which endpoint is ejected', () => {
    const page = [
      'models::127.0.0.1:7001::health_flags::healthy',
      'models::127.0.0.1:7002::health_flags::/failed_outlier_check',
      'local-1::127.0.0.1:9::health_flags::healthy',
    ].join('\n');
    assert.deepEqual(
      viewsIn(page, [7001, 7002]).map(({ replica, isIn }) => [replica, isIn]),
      [
        ['replica-1', true],
        ['replica-2', false],
      ],
    );
  });

  it('tries the job once only, and calls the near ends of wires', () => {
    const ports = { admin: 1, caller: 2, beside: [3, 4, 5], endpoints: [13, 14, 15], models: [6, 7, 8] };
    const { static_resources } = JSON.parse(envoyBootstrap(ports));
    const [{ filter_chains }] = static_resources.listeners;
    const { routes } = filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0];
    const job = routes.find(({ match }: { match: { path?: string } }) => match.path === JOB.path);
    assert.equal(job.route.retry_policy, undefined);
    const { endpoints } = static_resources.clusters[0].load_assignment;
    assert.match(JSON.stringify(endpoints), /13.*14.*15/);
  });
});
