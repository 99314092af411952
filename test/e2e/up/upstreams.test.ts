/** Model services that call other services through their own sidecars. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Metadata } from '@grpc/grpc-js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { Mesh } from '../../kit/process/outrider.js';
import { TestClient } from '../../kit/service/model-server.js';

const PROGRAM = fileURLToPath(new URL('../../kit/service/chain-process.js', import.meta.url));
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const ROUTES =
  'routes: [{methods: [/inference.GRPCInferenceService/ModelInfer], idempotent: true, timeout: 5s, retry: {attempts: 3, on: [unavailable]}}]';

/** The last service is the one that `failures` is about; `more` of a service by its name. */
function chain(
  log: string,
  failures: string,
  more: Readonly<Record<string, string>> = {},
  text = '',
): string {
  const service = (name: string, next: string, upstreams: string) => {
    const words = [process.execPath, PROGRAM, name, '{address}', log, next, failures];
    const rest = [upstreams, more[name] ?? ''].filter((part) => part !== '').join(', ');
    return `  ${name}: {command: ${JSON.stringify(words)}, queue: {concurrency: 16}${rest === '' ? '' : `, ${rest}`}}`;
  };
  return [
    'services:',
    service('a', 'b-2', `upstreams: {b-2: {${ROUTES}}}`),
    service('b-2', 'c', `upstreams: {c: {${ROUTES}}}`),
    service('c', '', ''),
    `caller: {name: app, admin: "127.0.0.1:0", upstreams: {a: {listen: "127.0.0.1:0", ${ROUTES}}}}`,
    text,
  ].join('\n');
}

describe('a chain of model services', function () {
  this.timeout(120_000);
  const scratch = scratchForEach();
  let mesh: Mesh | undefined;
  let client: TestClient | undefined;

  afterEach(async () => {
    client?.close();
    await mesh?.discard();
    mesh = undefined;
  });

  const logFile = () => join(scratch.path, 'calls.log');

  /** Calls that each service got, in their order. */
  function callsOf(service: string): { readonly leftMs: number; readonly trace: string }[] {
    if (!existsSync(logFile())) return [];
    const lines = readFileSync(logFile(), 'utf8').trim().split('\n');
    return lines.flatMap((line) => {
      const [name, leftMs, trace = ''] = line.split(' ');
      return name === service ? [{ leftMs: Number(leftMs), trace }] : [];
    });
  }

  async function start(text: string): Promise<TestClient> {
    mesh = Mesh.start(text);
    const { call } = await mesh.ready();
    client = new TestClient(call['a']!);
    return client;
  }

  function call(traceparent: string, body = 'hello'): Promise<unknown> {
    const path = '/inference.GRPCInferenceService/ModelInfer';
    const metadata = new Metadata();
    if (traceparent !== '') metadata.set('traceparent', traceparent);
    const method = { path, responseDeserialize: (bytes: Buffer) => bytes };
    return new Promise((resolve, reject) => {
      const asIs = (bytes: Buffer): Buffer => bytes;
      const options = { deadline: Date.now() + 4_000 };
      client!.client.makeUnaryRequest(
        path,
        asIs,
        method.responseDeserialize,
        Buffer.from(body),
        metadata,
        options,
        (error, answer) => (error === null ? resolve(answer) : reject(error)),
      );
    });
  }

  const REPLICAS = { a: 'replicas: 2', 'b-2': 'replicas: 2', c: 'replicas: 2' };

  it('passes a call from service to service, each with its own identity and less time, and retries at the hop next to the fault only', async () => {
    await start(chain(logFile(), 'asked', REPLICAS));
    for (let i = 0; i < 8; i++) assert.equal(String(await call(TRACE)), 'hello');
    const [a, b, c] = ['a', 'b-2', 'c'].map((service) => callsOf(service));
    assert.deepEqual([a!.length, b!.length, c!.length], [8, 8, 8]);
    assert.ok([...a!, ...b!, ...c!].every(({ trace }) => trace === TRACE));
    for (const [i, { leftMs }] of c!.entries()) {
      assert.ok(leftMs <= b![i]!.leftMs && b![i]!.leftMs <= a![i]!.leftMs && a![i]!.leftMs <= 4_000, `${i}`);
      assert.ok(leftMs > 1_000, 'the deadline is lost');
    }
    await retriesNearTheFault('always', traced);
  });

  /** So many that the reserves of two sidecars, 30 attempts each and 3/s, are a small part. */
  const CALLS = 600;

  /** So many calls, eight at a time; those that failed. */
  async function load(traceOf: (i: number) => string, body: string): Promise<number> {
    let next = 0;
    let failed = 0;
    const lane = async (): Promise<void> => {
      for (let i = next++; i < CALLS; i = next++) await call(traceOf(i), body).catch(() => failed++);
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    return failed;
  }

  const traced = (i: number) => `00-${String(i + 1).padStart(32, '0')}-b7ad6b7169203331-01`;

  async function retriesNearTheFault(failures: 'always' | 'second', traceOf: (i: number) => string) {
    rmSync(logFile(), { force: true });
    const beganMs = performance.now();
    const failed = await load(traceOf, failures === 'always' ? 'fail' : 'hello');
    const seconds = (performance.now() - beganMs) / 1_000;
    const [a, b, c] = ['a', 'b-2', 'c'].map((service) => callsOf(service).length / CALLS);
    const found = `attempts per call ${a}, ${b}, ${c} in ${seconds} s; ${failed} calls failed`;
    const reserves = (2 * (30 + 3 * seconds)) / CALLS;
    assert.ok(c! > 1 && c! <= 1.2 + reserves + 0.01, found);
    assert.ok(a! <= 1.05 && b! <= 1.05, found);
    assert.ok(failures === 'always' ? failed === CALLS : failed < CALLS / 2, found);
  }

  if (EFFORT > 1)
    it('retries at the hop next to the fault only: the last service fails every second time, calls without a trace', async () => {
      await start(chain(logFile(), 'second', REPLICAS));
      await retriesNearTheFault('second', () => '');
    });

  it('is held to the intentions of each hop', async () => {
    const text = 'intentions: [{from: app, to: a, action: allow}, {from: a, to: b-2, action: allow}]';
    await start(chain(logFile(), 'never', {}, text));
    await assert.rejects(call(TRACE), /PERMISSION_DENIED: b-2 may not call c/);
    assert.deepEqual([callsOf('b-2').length, callsOf('c').length], [1, 0]);
  });
});
