/**
 * Traces in a real Jaeger, asked over its API. Its page is not part of its Go module. Not in `npm test`: Go builds it for
 * ten minutes on two cores (`.ci/nightly`).
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TracedMesh } from '../drills/decisions/traced-mesh.js';
import { Program } from '../kit/interop/programs.js';
import { freePort } from '../kit/process/free-port.js';
import { httpAsk } from '../kit/process/http-ask.js';
import { Scratch } from '../kit/process/outrider.js';
import { until } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
/** Its parent is not there: the span of a client without an exporter. */
const TRACEPARENT = `00-${TRACE}-00f067aa0ba902b7-01`;

interface JaegerSpan {
  readonly spanID: string;
  readonly processID: string;
  readonly warnings: readonly string[] | null;
  readonly references: readonly { readonly spanID: string }[];
}

interface JaegerTrace {
  readonly spans: readonly JaegerSpan[];
  readonly processes: Readonly<Record<string, { readonly serviceName: string }>>;
}

describe('traces in Jaeger', function () {
  this.timeout(120_000);

  let jaeger: Program;
  let query: number;
  let ports: { readonly http: number; readonly grpc: number };

  before(async function () {
    const program = await toolOrSkip(this, 'jaeger');
    const scratch = new Scratch();
    query = await freePort();
    ports = { http: await freePort(), grpc: await freePort() };
    const config = join(scratch.path, 'jaeger.json');
    writeFileSync(config, JSON.stringify(configOf(query, await freePort(), ports)));
    jaeger = new Program('jaeger', [program, '--config', config]);
    await jaeger.started(
      'it answers',
      async () => (await ask('/api/services').catch(() => undefined)) !== undefined,
    );
  });
  after(async () => jaeger?.stop());

  const ask = async (path: string): Promise<unknown> => {
    const { status, text } = await httpAsk({ kind: 'tcp', host: '127.0.0.1', port: query }, { path });
    return status === 200 ? (JSON.parse(text) as { data: unknown }).data : undefined;
  };

  for (const protocol of ['http/protobuf', 'grpc'] as const)
    it(`a retried call is one trace over both sidecars, by ${protocol}`, async () => {
      const port = protocol === 'grpc' ? ports.grpc : ports.http;
      const trace = protocol === 'grpc' ? TRACE.replace('4', '5') : TRACE;
      const mesh = await TracedMesh.start({ endpoint: `http://127.0.0.1:${port}`, protocol, sample: 0 });
      try {
        for (let i = 0; i < 2; i++) await mesh.call({ traceparent: TRACEPARENT.replace(TRACE, trace) });
        const found = await until(
          'all spans are there',
          async () => {
            const [one] = ((await ask(`/api/traces/${trace}`)) ?? []) as JaegerTrace[];
            // Two calls, three attempts of the caller; two spans at a replica for each of those.
            return one !== undefined && one.spans.length >= 11 && one;
          },
          20_000,
        );
        const services = new Set(found.spans.map(({ processID }) => found.processes[processID]!.serviceName));
        assert.deepEqual([...services].sort(), ['app', 'model']);
        const ids = new Set(found.spans.map(({ spanID }) => spanID));
        const roots = found.spans.filter(({ references }) =>
          references.every(({ spanID }) => !ids.has(spanID)),
        );
        assert.equal(roots.length, 2, 'both calls are below the span of the client, and nothing else is');
        for (const { warnings = [], references } of found.spans)
          if (references.some(({ spanID }) => ids.has(spanID)))
            assert.deepEqual(
              (warnings ?? []).filter((each) => !ENDS_JUST_AFTER.test(each)),
              [],
            );
      } finally {
        await mesh.close();
      }
    });
});

/** A replica may note the end of a call some milliseconds after its caller has: Jaeger takes that for a clock that differs. */
const ENDS_JUST_AFTER =
  /^clock skew adjustment disabled; not applying calculated delta of -?(?:[\d.]+µs|\d(?:\.\d+)?ms)$/;

/** Everything in memory, on loopback. */
function configOf(
  query: number,
  queryGrpc: number,
  { http, grpc }: { readonly http: number; readonly grpc: number },
) {
  const at = (port: number) => ({ endpoint: `127.0.0.1:${port}` });
  return {
    service: {
      extensions: ['jaeger_storage', 'jaeger_query'],
      pipelines: {
        traces: { receivers: ['otlp'], processors: ['batch'], exporters: ['jaeger_storage_exporter'] },
      },
      telemetry: { logs: { level: 'warn' }, metrics: { level: 'none' } },
    },
    extensions: {
      jaeger_query: { storage: { traces: 'memory' }, http: at(query), grpc: at(queryGrpc) },
      jaeger_storage: { backends: { memory: { memory: { max_traces: 1_000 } } } },
    },
    receivers: { otlp: { protocols: { http: at(http), grpc: at(grpc) } } },
    processors: { batch: { timeout: '200ms' } },
    exporters: { jaeger_storage_exporter: { trace_storage: 'memory' } },
  };
}
