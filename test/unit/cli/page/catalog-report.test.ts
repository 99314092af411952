import assert from 'node:assert/strict';
import { catalogReport } from '../../../../sidecar/cli/page/catalog-report.js';

const catalog = {
  service: 'web',
  node: 'n1',
  version: '0.1.0',
  address: '10.0.0.1:9000',
  status: 'passing',
  models: [],
  why: '',
} as const;
const at = (endpoint: string) => `{upstream="digits",cluster="digits",endpoint="${endpoint}"}`;
/** Of one endpoint: what the metrics say that decide its state. */
const endpoint = (name: string, eligible: number, ejected: number, healthy: number, connections: number) => `
outrider_endpoint_eligible${at(name)} ${eligible}
outrider_endpoint_ejected${at(name)} ${ejected}
outrider_endpoint_healthy${at(name)} ${healthy}
outrider_endpoint_connections${at(name)} ${connections}
`;

describe('what the catalogue and the metrics of a sidecar say in place of its report', () => {
  it('has the state, the latency and the counts of each endpoint', () => {
    const metrics = `${endpoint('e1', 1, 0, 1, 2)}${endpoint('e2', 0, 1, 1, 1)}${endpoint('e3', 0, 0, 0, 1)}
${endpoint('e4', 0, 0, 1, 0)}${endpoint('e5', 0, 0, 1, 1)}
outrider_endpoint_in_flight${at('e1')} 3
outrider_endpoint_ewma_seconds${at('e1')} 0.004
outrider_attempt_outcomes_total{upstream="digits",cluster="digits",endpoint="e1",outcome="success"} 10
outrider_attempt_outcomes_total{upstream="digits",cluster="digits",endpoint="e1",outcome="fault"} 2
outrider_ejections_total{upstream="digits",cluster="digits",endpoint="e2",detector="faults"} 1
outrider_ejections_total{upstream="digits",cluster="digits",endpoint="e2",detector="latency"} 2
`;
    const { endpoints } = catalogReport('web-1', catalog, metrics, (what, state) =>
      what === 'web-1\ndigits\ndigits\ne2' && state === 'ejected' ? 5_000 : 0,
    );
    assert.deepEqual(
      endpoints.map(({ state }) => state),
      ['eligible', 'ejected', 'unhealthy', 'disconnected', 'standby'],
    );
    const [first, second] = endpoints;
    assert.deepEqual(
      [first!.upstream, first!.inFlight, first!.ewmaMs, first!.attempts, first!.faults, first!.ejections],
      ['digits', 3, 4, 12, 2, 0],
    );
    assert.deepEqual([second!.ejections, second!.sinceMs], [3, 5_000]);
  });

  it('has models with their restarts, and the line before them', () => {
    const metrics = `outrider_model_version_ready{model="digits",version="1"} 1
outrider_model_version_ready{model="digits",version="2"} 0
outrider_model_restarts_total{model="digits",version="1"} 4
outrider_queue_concurrency{model="digits",version="1"} 2
outrider_queue_running{model="digits",version="1"} 1
outrider_queue_waiting{model="digits",version="1"} 7
`;
    const { models, queue } = catalogReport('digits-1', catalog, metrics, () => 0);
    assert.deepEqual(
      models!.map(({ version, state, restarts }) => [version, state, restarts]),
      [
        ['1', 'ready', 4],
        ['2', 'starting', 0],
      ],
    );
    assert.deepEqual([queue!.concurrency, queue!.running, queue!.waiting], [2, 1, 7]);
  });

  it('is as ready as Consul says, also without metrics', () => {
    const said = { ...catalog, status: 'critical', why: 'TTL expired' } as const;
    const report = catalogReport('web-1', said, undefined, () => 0);
    assert.deepEqual([report.ready, report.notReady], [false, ['TTL expired']]);
    assert.deepEqual([report.endpoints, report.models, report.queue], [[], undefined, undefined]);
    assert.ok(catalogReport('web-1', { ...catalog, status: 'warning' }, undefined, () => 0).ready);
  });
});
