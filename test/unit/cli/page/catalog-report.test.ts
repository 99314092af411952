import assert from 'node:assert/strict';
import { CatalogMemory } from '../../../../sidecar/cli/page/catalog-memory.js';
import { catalogReport } from '../../../../sidecar/cli/page/catalog-report.js';
import type { CatalogPeer } from '../../../../sidecar/cli/page/metric-endpoints.js';

const catalog = {
  service: 'web',
  node: 'n1',
  version: '0.1.0',
  address: '10.0.0.1:9000',
  status: 'passing',
  models: [],
  why: '',
} as const;
const sources = (sidecar: string) => ({
  sidecar,
  memory: new CatalogMemory(),
  peers: new Map<string, CatalogPeer>([['e4', { name: 'digits-4', why: 'the model does not answer' }]]),
});
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
    const from = sources('web-1');
    catalogReport(catalog, metrics, from);
    from.memory.begin(5_000);
    const { endpoints } = catalogReport(catalog, metrics, from);
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
    // Two detectors have ejected it before the first look, so that the last one is not known.
    assert.equal(second!.why, 'by the detector faults or latency; 0 of 0 attempts failed so far');
    const [, , third, fourth] = endpoints;
    assert.deepEqual(
      [third!.endpoint, third!.why],
      ['e3', 'its health check fails, or its model is loading'],
    );
    assert.deepEqual(
      [fourth!.endpoint, fourth!.address, fourth!.why],
      ['digits-4', 'e4', 'no connection; in Consul: the model does not answer'],
    );
  });

  it('has models with their restarts, and the queue before them', () => {
    const metrics = `outrider_model_version_ready{model="digits",version="1"} 1
outrider_model_version_ready{model="digits",version="2"} 0
outrider_model_restarts_total{model="digits",version="1"} 4
outrider_queue_concurrency{model="digits",version="1"} 2
outrider_queue_running{model="digits",version="1"} 1
outrider_queue_waiting{model="digits",version="1"} 7
`;
    const { models, queue } = catalogReport(catalog, metrics, sources('digits-1'));
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
    const report = catalogReport(said, undefined, sources('web-1'));
    assert.deepEqual([report.ready, report.notReady], [false, ['TTL expired']]);
    assert.deepEqual([report.endpoints, report.models, report.queue], [[], undefined, undefined]);
    assert.ok(catalogReport({ ...catalog, status: 'warning' }, undefined, sources('web-1')).ready);
  });
});
