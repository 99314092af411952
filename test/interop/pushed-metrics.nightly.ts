/** Metrics that sidecars send by OTLP to a real Prometheus, asked over its API. Go builds it for a quarter of an hour (`.ci/nightly`). */
import assert from 'node:assert/strict';
import { TracedMesh } from '../drills/decisions/traced-mesh.js';
import { Prometheus } from '../kit/observe/prometheus.js';
import { until } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

/** As docs/OBSERVE.md has it. */
const CONFIG = 'otlp: { translation_strategy: NoTranslation }\n';
const FLAGS = ['--web.enable-otlp-receiver'];
const CALLS = 5;

describe('metrics that are sent to Prometheus', function () {
  this.timeout(120_000);

  it('have the names, labels and values that a scrape has', async function () {
    const program = await toolOrSkip(this, 'prometheus-on-consul');
    const prometheus = await Prometheus.start(program, CONFIG, {}, FLAGS);
    let mesh: TracedMesh | undefined;
    try {
      const endpoint = `${prometheus.url}/api/v1/otlp/v1/metrics`;
      mesh = await TracedMesh.start({ endpoint, sample: 0 }, { metrics: { endpoint, interval: '1s' } });
      await mesh.heal();
      for (let i = 0; i < CALLS; i++) await mesh.call();
      const { caller } = mesh;
      const page = (await caller.page('/metrics')).text;
      const ask = (query: string) => prometheus.query(query);
      await until('the calls are there', async () => {
        const [series] = await ask('sum(outrider_calls_total{direction="outbound"})');
        return series?.value[1] === String(CALLS);
      });
      const [call] = await ask('outrider_calls_total{direction="outbound"}');
      const { job, instance, service, grpc_status: status } = call!.metric;
      assert.deepEqual([job, instance, service, status], ['app', 'app-1', 'model', 'OK']);
      const [count] = await ask('sum(outrider_call_seconds_count{job="app"})');
      const [largest] = await ask('sum(outrider_call_seconds_bucket{job="app",le="+Inf"})');
      assert.deepEqual([count?.value[1], largest?.value[1]], [String(CALLS), String(CALLS)]);
      const [median] = await ask('histogram_quantile(0.5, outrider_call_seconds_bucket{job="app"})');
      assert.ok(Number(median!.value[1]) > 0 && Number(median!.value[1]) < 5);
      // Each metric of a scrape is there, by its name.
      for (const [, name, type] of page.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
        if (!new RegExp(`^${name}(_count)?[ {]`, 'm').test(page)) continue;
        const series = type === 'histogram' ? `${name}_count` : name;
        assert.ok((await ask(`${series}{job="app"}`)).length > 0, series);
      }
      assert.equal((await ask('target_info{job="app"}'))[0]!.metric['host.name'] === undefined, false);
      // The model's sidecars are told apart.
      const models = await ask('count by (instance) (outrider_info{job="model"})');
      assert.deepEqual(models.map(({ metric }) => metric['instance']).sort(), ['model-0', 'model-1']);

      // A sidecar that ends has told all of its calls.
      await mesh.call();
      await caller.stop();
      const [last] = await ask('sum(outrider_calls_total{direction="outbound"})');
      assert.equal(last!.value[1], String(CALLS + 1));
      assert.doesNotMatch(caller.output, /metrics cannot be exported|the collector refused metrics/);
    } finally {
      await mesh?.close();
      await prometheus.discard();
    }
  });
});
