/** Metrics of a whole sidecar at a collector: an HTTP server that reads the bytes itself. The clock is manual, the sockets are not. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MetricsConfig, SidecarConfig } from '../../../sidecar/config/model.js';
import { ListenSockets } from '../../../sidecar/runtime/process/listen-sockets.js';
import type { Metric } from '../../../sidecar/telemetry/metric.js';
import {
  answered,
  SidecarInMemory,
  until,
  upstreamAt,
  withUpstreams,
} from '../../kit/stack/sidecar-in-memory.js';
import { type ReadMetric, readMetricsRequest } from '../../kit/traces/decode-metrics.js';

const INTERVAL_MS = 10_000;

/** What one request had. */
interface Request {
  readonly path: string | undefined;
  readonly resource: Readonly<Record<string, string | number | boolean>>;
  readonly metrics: readonly ReadMetric[];
}

/** It answers as the test says. */
class MetricsCollector {
  readonly requests: Request[] = [];
  onRequest: (response: ServerResponse) => void = (response) => void response.end();

  private constructor(private readonly server: Server) {}

  static async open(): Promise<MetricsCollector> {
    const server = createServer((request, response) => void collector.take(request, response));
    const collector = new MetricsCollector(server);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return collector;
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    this.requests.push({ path: request.url, ...readMetricsRequest(Buffer.concat(chunks)) });
    this.onRequest(response);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Values of a metric without labels, one for each request. */
  values(name: string): (number | undefined)[] {
    return this.requests.map(
      ({ metrics }) => metrics.find((metric) => metric.name === name)?.points[0]?.value,
    );
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

describe('The export of metrics', () => {
  let bench: SidecarInMemory;
  let collector: MetricsCollector;
  beforeEach(async () => {
    bench = new SidecarInMemory();
    collector = await MetricsCollector.open();
  });
  afterEach(async () => {
    const stopping = bench.close();
    await passes(2_000);
    await stopping;
    collector.close();
  });

  const to = (endpoint: string, over: Partial<MetricsConfig> = {}): MetricsConfig => ({
    ...{ endpoint, protocol: 'http/protobuf', headers: {}, intervalMs: INTERVAL_MS, attributes: {} },
    ...over,
  });
  const aSidecar = async (): Promise<SidecarConfig> => {
    const { address } = await bench.server('one');
    return { ...withUpstreams(upstreamAt(address, 'one')), metrics: to(collector.endpoint) };
  };
  const passes = (ms: number): Promise<void> => bench.clock.settle(ms);
  const has = (requests: number) => until(`${requests} exports`, () => collector.requests.length >= requests);
  const numberIn = (metrics: readonly Metric[], name: string, reason?: string): number => {
    const found = metrics.find((metric) => metric.name === name);
    assert.ok(found !== undefined && found.kind !== 'histogram', name);
    return found.samples.find(({ labels }) => labels['reason'] === reason)!.value;
  };

  it('says what a scrape says', async () => {
    const sidecar = await bench.sidecar(await aSidecar());
    const app = await bench.app(sidecar.addresses.upstreams['one']!);
    assert.equal((await answered(app.call())).status, 0);
    await passes(INTERVAL_MS);
    await has(1);
    const [{ path, resource, metrics }] = collector.requests as [Request];
    assert.equal(path, '/v1/metrics');
    assert.deepEqual([resource['service.name'], resource['service.instance.id']], ['digits', 'digits-1']);
    const kinds = { counter: 'sum', gauge: 'gauge', histogram: 'histogram' } as const;
    const byName = new Map(metrics.map((metric) => [metric.name, metric]));
    for (const scraped of sidecar.view.metrics()) {
      if (scraped.samples.length === 0) continue;
      const found = byName.get(scraped.name);
      assert.ok(found !== undefined, scraped.name);
      assert.deepEqual([found.kind, found.description], [kinds[scraped.kind], scraped.help], scraped.name);
      assert.deepEqual(
        found.points.map(({ attributes }) => attributes),
        scraped.samples.map(({ labels }) => labels),
        scraped.name,
      );
    }
    const [call] = byName.get('outrider_call_seconds')!.points;
    assert.deepEqual([call!.count, call!.buckets!.reduce((sum, count) => sum + count, 0)], [1, 1]);
    assert.ok(byName.has('process_resident_memory_bytes'));
  });

  it('goes on, and calls as well, beside a collector that hangs', async () => {
    const sidecar = await bench.sidecar(await aSidecar());
    const app = await bench.app(sidecar.addresses.upstreams['one']!);
    let hung = 0;
    collector.onRequest = () => hung++;
    await passes(INTERVAL_MS);
    await until('it hangs', () => hung === 1);
    assert.equal((await answered(app.call())).status, 0);
    // Its time is up after 10 s; the failure is followed by a pause.
    for (let i = 0; i < 4; i++) await passes(INTERVAL_MS);
    assert.equal((await answered(app.call())).status, 0);
    const dropped = (reason: string): number =>
      numberIn(sidecar.view.metrics(), 'outrider_metric_points_dropped_total', reason);
    const exported = (): number => numberIn(sidecar.view.metrics(), 'outrider_metric_points_exported_total');
    assert.ok(numberIn(sidecar.view.metrics(), 'outrider_metric_export_failures_total') >= 1);
    assert.ok(dropped('unreachable') > 50 && dropped('late') > 50);
    assert.equal(exported(), 0);
    collector.onRequest = (response) => void response.end();
    for (let i = 0; i < 6 && exported() === 0; i++) {
      const before = dropped('unreachable') + dropped('late');
      await passes(INTERVAL_MS);
      await until('this interval is over', () => {
        return exported() > 0 || dropped('unreachable') + dropped('late') > before;
      });
    }
    assert.ok(exported() > 50);
  });

  it('is switched on, moved and switched off by a reload', async () => {
    const config = await aSidecar();
    const { metrics: _, ...without } = config;
    const sidecar = await bench.sidecar(without);
    await passes(3 * INTERVAL_MS);
    assert.equal(collector.requests.length, 0);
    assert.ok(!sidecar.view.metrics().some(({ name }) => name.startsWith('outrider_metric_')));
    assert.deepEqual((await sidecar.reload(config)).needsRestart, []);
    await passes(INTERVAL_MS);
    await has(1);

    // In the middle of an export: the old collector has it and does not answer.
    collector.onRequest = () => {};
    await passes(INTERVAL_MS);
    await has(2);
    const other = await MetricsCollector.open();
    try {
      await sidecar.reload({ ...config, metrics: to(other.endpoint) });
      await passes(INTERVAL_MS);
      await until('the other one has it', () => other.requests.length === 1);
      assert.equal(collector.requests.length, 2);
      const startOf = ({ metrics }: Request): bigint =>
        metrics.find(({ name }) => name === 'outrider_config_reloads_rejected_total')!.points[0]!.start;
      assert.equal(startOf(other.requests[0]!), startOf(collector.requests[0]!), 'the counters are the same');
      const exported = numberIn(sidecar.view.metrics(), 'outrider_metric_points_exported_total');
      await sidecar.reload({ ...config, metrics: to(other.endpoint) });
      assert.ok(exported > 0, 'counts are not begun anew');

      await sidecar.reload(without);
      await passes(3 * INTERVAL_MS);
      assert.equal(other.requests.length, 1);
    } finally {
      other.close();
    }
  });

  it('has a last one when the sidecar ends, with what happened since', async () => {
    const sidecar = await bench.sidecar(await aSidecar());
    await passes(INTERVAL_MS);
    await has(1);
    const app = await bench.app(sidecar.addresses.upstreams['one']!);
    await answered(app.call());
    const stopped = sidecar.stop();
    await has(2);
    await stopped;
    const { metrics } = collector.requests[1]!;
    assert.equal(metrics.find(({ name }) => name === 'outrider_calls_total')!.points[0]!.value, 1);
    assert.ok(
      metrics.some(({ name }) => name === 'outrider_endpoint_eligible'),
      'its parts were still there',
    );
    await passes(3 * INTERVAL_MS);
    assert.equal(collector.requests.length, 2);
  });

  it('does not keep a sidecar that ends for more than a second', async () => {
    const sidecar = await bench.sidecar(await aSidecar());
    collector.onRequest = () => {};
    let isStopped = false;
    const stopped = sidecar.stop().then(() => {
      isStopped = true;
    });
    await until('the last one is sent', () => collector.requests.length === 1);
    await passes(900);
    assert.equal(isStopped, false);
    await passes(100);
    await stopped;
  });

  it('is taken over by a successor, which begins to count anew, and never both at a time', async () => {
    const config = await aSidecar();
    const before = await bench.sidecar(config);
    await passes(INTERVAL_MS);
    await has(1);
    const sockets = new ListenSockets({ holdBack: true, sockets: {} });
    const after = await bench.sidecar(config, { sockets });
    const own = 4;
    for (let requests = 2; requests <= own; requests++) {
      await passes(INTERVAL_MS);
      await has(requests);
    }
    const acceptMs = bench.clock.wallNow();
    after.accept();
    before.handOver();
    await has(own + 1);
    for (let requests = own + 2; requests <= own + 4; requests++) {
      await passes(INTERVAL_MS);
      await has(requests);
    }
    assert.equal(collector.requests.length, own + 4);
    const starts = collector.requests.map(
      ({ metrics }) =>
        metrics.find(({ name }) => name === 'outrider_config_reloads_rejected_total')!.points[0]!.start,
    );
    const [first] = starts;
    assert.ok(
      starts.slice(0, own + 1).every((start) => start === first),
      'the last one of the predecessor',
    );
    const startsMs = starts.slice(own + 1).map((start) => Number(start) / 1e6);
    assert.ok(
      startsMs.every((ms) => ms === startsMs[0] && Math.abs(ms - acceptMs) < 1),
      'the successor counts from where it accepted',
    );
    const stopped = before.stop();
    await passes(1_000);
    await stopped;
  });
});
