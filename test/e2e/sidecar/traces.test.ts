/** Traces of real sidecars, read by OpenTelemetry's own message classes, while the collector comes and goes. */
import assert from 'node:assert/strict';
import { TracedMesh } from '../../drills/decisions/traced-mesh.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { until } from '../../kit/process/processes.js';
import { toolOrSkip } from '../../kit/process/tools.js';
import { type CollectedSpan, Collector } from '../../kit/traces/collector.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

describe('traces of sidecars', function () {
  this.timeout(120_000);

  let collector: Collector;
  let mesh: TracedMesh;

  before(async function () {
    collector = await Collector.start(await toolOrSkip(this, 'otlp'));
    const endpoint = `http://127.0.0.1:${collector.ports.http}`;
    const attributes = { 'deployment.environment.name': 'test' };
    mesh = await TracedMesh.start({ endpoint, headers: { 'x-key': 'k' }, sample: 0, attributes });
  });
  after(async () => {
    await mesh?.close();
    await collector?.kill();
  });

  const childrenOf = (spans: readonly CollectedSpan[], parentId: string): CollectedSpan[] =>
    spans.filter((span) => span.parentId === parentId).sort((a, b) => a.startMs - b.startMs);

  /** Two calls: one of them goes to the replica that fails first. */
  const retried = async (traceId: string): Promise<CollectedSpan[]> => {
    for (let i = 0; i < 2; i++) await mesh.call({ traceparent: `00-${traceId}-${PARENT}-01` });
    // Two server spans and two or three client spans of the caller; two of each replica that was called.
    return collector.find('all spans are there', (spans) => {
      const own = spans.filter((span) => span.traceId === traceId);
      return own.length >= 11 && own;
    });
  };

  it('a call that is retried is one trace over both sidecars', async () => {
    const spans = await retried(TRACE);
    const calls = childrenOf(spans, PARENT);
    assert.equal(calls.length, 2);
    const [call] = calls.filter(({ spanId }) => childrenOf(spans, spanId).length === 2);
    const [first, second] = childrenOf(spans, call!.spanId);
    assert.deepEqual([call!.kind, first!.kind, call!.status, first!.status, second!.status], [2, 3, 0, 2, 0]);
    assert.deepEqual([call!.resource['service.name'], first!.message], ['app', 'UNAVAILABLE']);
    assert.deepEqual(
      [first!.attributes['outrider.retry'], second!.attributes['outrider.retry']],
      [undefined, 1],
    );
    for (const [attempt, instance] of [
      [first!, 'model-0'],
      [second!, 'model-1'],
    ] as const) {
      const [server] = childrenOf(spans, attempt.spanId);
      const [local] = childrenOf(spans, server!.spanId);
      const { resource, attributes } = server!;
      assert.deepEqual([resource['service.name'], resource['service.instance.id']], ['model', instance]);
      assert.deepEqual([attributes['outrider.caller'], attributes['rpc.method']], ['app', 'Once']);
      assert.equal(local!.attributes['outrider.endpoint'], 'local');
      // The clocks of the two processes are one, to the millisecond or so.
      assert.ok(server!.startMs > attempt.startMs - 2 && server!.endMs < attempt.endMs + 2);
    }
    assert.deepEqual(
      [call!.headers['x-key'], call!.scope, call!.resource['deployment.environment.name']],
      ['k', 'outrider', 'test'],
    );
  });

  it('a call outside the sample that is retried has its spans, the second attempt over both sidecars', async () => {
    const id = '5af7651916cd43dd8448eb211c80319c';
    for (let i = 0; i < 2; i++) await mesh.call({ 'x-request-id': id });
    const spans = await collector.find('it is there', (all) => {
      const own = all.filter((span) => span.traceId === id);
      // Of the caller three, of the first replica two, of the second two.
      return own.length >= 7 && own;
    });
    const [call] = spans.filter(({ resource, kind }) => resource['service.name'] === 'app' && kind === 2);
    const [, second] = childrenOf(spans, call!.spanId);
    assert.equal(childrenOf(spans, second!.spanId)[0]!.resource['service.instance.id'], 'model-1');
  });

  it('calls go on while the collector is away, what waits is kept and what is lost is counted, and it is found again', async () => {
    const { caller } = mesh;
    await mesh.heal();
    await collector.kill();
    const traceparent = `00-${TRACE}-${PARENT}-01`;
    await mesh.call({ traceparent });
    await until(
      'it is missed',
      async () => (await caller.metric('outrider_trace_export_failures_total')) > 0,
    );
    const dropped = () => caller.metric('outrider_spans_dropped_total', { reason: 'unreachable' });
    let slowestMs = 0;
    // Long spans, so that 4 MiB of them are soon together: thousands of calls, which are made by night.
    const long = { traceparent, tracestate: `a=${'x'.repeat(500)}`, 'x-request-id': 'x'.repeat(128) };
    for (let round = 0; round < (EFFORT > 1 ? 50 : 1) && (await dropped()) < 100; round++) {
      const fromMs = performance.now();
      await Promise.all(Array.from({ length: 100 }, () => mesh.call(long)));
      slowestMs = Math.max(slowestMs, performance.now() - fromMs);
    }
    assert.ok(slowestMs < 5_000, `100 calls took ${slowestMs} ms`);
    if (EFFORT > 1) assert.ok((await dropped()) >= 100, 'none were dropped');
    assert.ok((await caller.metric('outrider_spans_waiting')) >= 200, 'spans wait for the collector');
    assert.ok((await caller.metric('outrider_spans_waiting')) < 8_300);
    assert.match(caller.output, /traces cannot be exported/);
    await collector.restart();
    await until(
      'it is found again',
      async () => (await caller.metric('outrider_spans_waiting')) === 0,
      30_000,
    );
    const exported = await caller.metric('outrider_spans_exported_total');
    await mesh.call({ traceparent });
    await until('it goes on', async () => (await caller.metric('outrider_spans_exported_total')) > exported);
  });
});
