import assert from 'node:assert/strict';
import { describeMachine } from '../relay/machine.js';
import { at, fitLine, quantile, renewalsPerSecond, type SeriesCount, seriesCost, seriesOf } from './fit.js';
import { joinScale } from './main.js';
import type { Point } from './measure.js';
import { renderScale } from './table.js';

function point(sidecars: number, over: Partial<Point> = {}): Point {
  return {
    ...{
      sidecars,
      replicas: 10,
      connections: 9,
      registryRssMb: 100 + sidecars,
      registryRestCpu: sidecars / 2,
    },
    ...{ checksPerSecond: sidecars / 5, restBytesPerSecond: 300, changes: 6, bytesPerChange: 20_000 },
    ...{ agentRestCpu: 1, agentCpuMsPerChange: 1, agentRssMb: 90 },
    ...{ registryCpuMsPerChange: 3 * sidecars, cpuMsPerChange: 2, p50Ms: 200, p99Ms: 900 },
    ...over,
  };
}

describe('the scale benchmark', () => {
  it('finds the line that the points lie on, and how far one lies from it', () => {
    const fit = fitLine([
      [100, 250],
      [300, 650],
      [1_000, 2_050],
    ]);
    assert.ok(Math.abs(fit.fixed - 50) < 1e-6 && Math.abs(fit.perUnit - 2) < 1e-6 && fit.worstMiss < 1e-6);
    const bent = fitLine([
      [1, 1],
      [2, 4],
      [3, 9],
    ]);
    assert.ok(bent.worstMiss > 0.3, `${bent.worstMiss}`);
    assert.equal(at({ fixed: -500, perUnit: 2, worstMiss: 0 }, 100), 0);
    assert.deepEqual(fitLine([[10, 30]]), { fixed: 0, perUnit: 3, worstMiss: 0 });
  });

  it('takes quantiles by the nearest rank', () => {
    const values = Array.from({ length: 200 }, (_, i) => 200 - i);
    assert.deepEqual([quantile(values, 0.5), quantile(values, 0.99), quantile([7], 0.99)], [100, 198, 7]);
  });

  it('tells the series of upstreams, endpoints and methods apart', () => {
    const cost = { fixed: 50, perUpstream: 20, perEndpoint: 15, perMethod: 30 };
    const counted = (upstreams: number, endpoints: number, methods: number): SeriesCount => {
      const shape = { upstreams, endpoints, methods };
      return { ...shape, series: seriesOf(cost, shape) };
    };
    const found = seriesCost([counted(1, 1, 1), counted(2, 1, 1), counted(1, 11, 1), counted(1, 1, 11)]);
    assert.deepEqual(found, cost);
    assert.equal(counted(3, 10, 2).series, 50 + 3 * (20 + 150 + 60));
  });

  it('counts renewals after two thirds of a life', () => {
    assert.equal(renewalsPerSecond(7_200, 3 * 3_600), 1);
  });

  it('joins what several runs wrote', () => {
    const machine = describeMachine();
    const of = (version: string, points: readonly Point[]) => ({
      machine,
      registries: [{ registry: 'Consul', version, points } as const],
      series: [],
    });
    const large = of('1.8.7', [point(1_000)]);
    const more = of('1.8.7', [point(100, { replicas: 100 })]);
    const { registries } = joinScale([large, of('1.8.7', [point(100), point(300)]), more]);
    const sizes = registries.map(({ points }) => points.map(({ sidecars }) => sidecars));
    assert.deepEqual(sizes, [[100, 300, 1_000], [100]]);
  });

  it('says what was measured, and that the rest is computed', () => {
    const registries = [
      { registry: 'Consul', version: '1.8.7', points: [point(100), point(1_000)] } as const,
      { registry: 'Kubernetes', version: 'v1.34.4', points: [point(100)] } as const,
    ];
    const text = renderScale({ machine: describeMachine(), registries, series: [] });
    assert.match(text, /Consul 1\.8\.7, 10 replicas, one of which comes and goes \(6 changes\)/);
    assert.match(text, /COMPUTED by these lines, not measured:/);
    // 900,000 connections; 100.1 GB; 50 cores; 300 s; 2 GB; 20,000 checks.
    assert.match(text, /100,000\s+900,000\s+100\.1\s+50\.0\s+300\.0\s+2,000\s+20,000/);
    // One size says nothing of others.
    assert.equal(text.match(/by straight lines/g)?.length, 1);
    assert.doesNotMatch(text, /series of a caller/);
  });
});
