/**
 * Metrics that real sidecars send, read by OpenTelemetry's own message classes, beside what they show to a scrape; and what is sent at the
 * end of a sidecar, spans over gRPC too.
 */
import assert from 'node:assert/strict';
import { TracedMesh } from '../../drills/decisions/traced-mesh.js';
import { until } from '../../kit/process/processes.js';
import { toolOrSkip } from '../../kit/process/tools.js';
import { type CollectedExport, Collector } from '../../kit/traces/collector.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
/** A line of a scrape: name, labels, value. */
const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;

describe('metrics that sidecars send', function () {
  this.timeout(120_000);

  for (const protocol of ['http/protobuf', 'grpc'] as const)
    it(`over ${protocol} are those of a scrape, with the last ones at the end, as are spans`, async function () {
      const collector = await Collector.start(await toolOrSkip(this, 'otlp'));
      const { http, grpc } = collector.ports;
      const endpoint = `http://127.0.0.1:${protocol === 'grpc' ? grpc : http}`;
      const attributes = { 'deployment.environment.name': 'test' };
      const metrics = { endpoint, protocol, headers: { 'x-key': 'k' }, interval: '1s', attributes };
      const mesh = await TracedMesh.start(
        { endpoint, protocol, headers: { 'x-key': 'k' }, sample: 0 },
        { metrics },
      );
      try {
        await mesh.heal();
        await mesh.call();
        const ofCaller = async (): Promise<CollectedExport | undefined> =>
          (await collector.exports())['app-1'];
        await until('two exports with the call', async () => {
          const found = await ofCaller();
          return (found?.number ?? 0) >= 2 && callsIn(found) === 1;
        });
        const found = (await ofCaller())!;
        assert.deepEqual(
          [found.protocol, found.headers['x-key'], found.scopes],
          [protocol === 'grpc' ? 'grpc' : 'http', 'k', ['outrider']],
        );
        assert.deepEqual(
          [found.resource['service.name'], found.resource['deployment.environment.name']],
          ['app', 'test'],
        );
        assertScraped(found, (await mesh.caller.page('/metrics')).text);
        for (const replica of ['model-0', 'model-1'])
          await until(replica, async () => (await collector.exports())[replica] !== undefined);

        await mesh.call({ traceparent: `00-${TRACE}-00f067aa0ba902b7-01` });
        await mesh.caller.stop();
        assert.equal(callsIn(await ofCaller()), 2, 'the call after the last interval is there');
        const spans = await collector.find('the spans of the caller', (all) => {
          const own = all.filter((each) => each.traceId === TRACE && each.resource['service.name'] === 'app');
          return own.length >= 2 && own;
        });
        assert.deepEqual(
          [spans[0]!.protocol, spans[0]!.headers['x-key']],
          [protocol === 'grpc' ? 'grpc' : 'http', 'k'],
        );
      } finally {
        await mesh.close();
        await collector.kill();
      }
    });
});

/** Calls that ended, as the export has them. */
function callsIn(found: CollectedExport | undefined): number {
  const points = found?.metrics.find(({ name }) => name === 'outrider_calls_total')?.points ?? [];
  return points.reduce((sum, { value = 0 }) => sum + value, 0);
}

/** Names, types and labels are the same; values are where they do not move. */
function assertScraped(found: CollectedExport, page: string): void {
  const types = new Map([...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]));
  const scraped = new Set<string>();
  const values = new Map<string, number>();
  for (const line of page.split('\n')) {
    const [, name, labels = '', value] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const key = `${name}{${labels}}`;
    scraped.add(key);
    values.set(key, Number(value));
  }
  const sent = new Set<string>();
  for (const { name, kind, type, temporality, isMonotonic, points } of found.metrics) {
    assert.equal(types.get(name), type, name);
    assert.equal(kind, { counter: 'sum', gauge: 'gauge', histogram: 'histogram' }[type], name);
    assert.deepEqual([temporality, isMonotonic], [kind === 'gauge' ? 0 : 2, type === 'counter'], name);
    for (const { attributes, startMs, timeMs, value, count, buckets, bounds } of points) {
      const labels = Object.entries(attributes).map(([label, text]) => `${label}="${text}"`);
      const key = (suffix: string, ...more: readonly string[]) =>
        `${name}${suffix}{${[...labels, ...more].join(',')}}`;
      assert.ok(kind === 'gauge' ? startMs === 0 : startMs > 0 && startMs <= timeMs, name);
      if (kind !== 'histogram') {
        sent.add(key(''));
        continue;
      }
      assert.equal(buckets!.length, bounds!.length + 1, name);
      assert.equal(
        buckets!.reduce((sum, each) => sum + each, 0),
        count,
        name,
      );
      sent.add(key('_count'));
      assert.equal(values.get(key('_count')), count, name);
      let cumulative = 0;
      for (const [i, each] of buckets!.entries()) {
        cumulative += each;
        assert.equal(values.get(bucketKey(name, labels, bounds![i])), cumulative, name);
      }
      assert.equal(value, undefined);
    }
  }
  const whole = [...scraped].filter((key) => !/^\S+_(bucket|sum)\{/.test(key) && !isFleeting(key));
  assert.deepEqual(
    whole.filter((key) => !sent.has(key)),
    [],
  );
  assert.ok(sent.size > 100, String(sent.size));
}

/** As prom-client writes it. */
function bucketKey(name: string, labels: readonly string[], bound: number | undefined): string {
  return `${name}_bucket{${[...labels, `le="${bound ?? '+Inf'}"`].join(',')}}`;
}

/** What a process has at one moment and not at another. */
const isFleeting = (key: string): boolean => key.startsWith('process_active_resources');
