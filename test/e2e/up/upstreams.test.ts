/** Model services that call other services through their own sidecars. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Metadata } from '@grpc/grpc-js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { Mesh, Scratch } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { TestClient } from '../../kit/service/model-server.js';

const PROGRAM = fileURLToPath(new URL('../../kit/service/chain-process.js', import.meta.url));
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
/** Attempts per second of the reserve of a budget, of which those of ten seconds are saved. */
const RESERVE_PER_SECOND = 1;
const UPSTREAM = `budget: {ratio: 0.2, per_second: ${RESERVE_PER_SECOND}}`;
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
    service('a', 'b-2', `upstreams: {b-2: {${UPSTREAM}, ${ROUTES}}}`),
    service('b-2', 'c', `upstreams: {c: {${UPSTREAM}, ${ROUTES}}}`),
    service('c', '', ''),
    `caller: {name: app, admin: "127.0.0.1:0", upstreams: {a: {listen: "127.0.0.1:0", ${UPSTREAM}, ${ROUTES}}}}`,
    text,
  ].join('\n');
}

const REPLICAS = { a: 'replicas: 2', 'b-2': 'replicas: 2', c: 'replicas: 2' };

describe('a chain of model services', function () {
  this.timeout(120_000);
  let scratch: Scratch;
  let mesh: Mesh;
  let client: TestClient | undefined;

  before(async () => {
    scratch = new Scratch();
    mesh = Mesh.start(chain(logFile(), 'asked', REPLICAS));
    client = await clientOf(mesh);
  });
  beforeEach(() => rmSync(logFile(), { force: true }));
  after(async () => {
    client?.close();
    await mesh?.discard();
    scratch?.remove();
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

  async function clientOf(started: Mesh): Promise<TestClient> {
    return new TestClient((await started.ready()).call['a']!);
  }

  function call(traceparent: string, body = 'hello', by = client!): Promise<unknown> {
    const path = '/inference.GRPCInferenceService/ModelInfer';
    const metadata = new Metadata();
    if (traceparent !== '') metadata.set('traceparent', traceparent);
    const method = { path, responseDeserialize: (bytes: Buffer) => bytes };
    return new Promise((resolve, reject) => {
      const asIs = (bytes: Buffer): Buffer => bytes;
      const options = { deadline: Date.now() + 4_000 };
      by.client.makeUnaryRequest(
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

  it('passes a call from service to service, each with its own identity and less time, and retries at the hop next to the fault only', async () => {
    for (let i = 0; i < 8; i++) assert.equal(String(await call(TRACE)), 'hello');
    const [a, b, c] = ['a', 'b-2', 'c'].map((service) => callsOf(service));
    assert.deepEqual([a!.length, b!.length, c!.length], [8, 8, 8]);
    assert.ok([...a!, ...b!, ...c!].every(({ trace }) => trace === TRACE));
    for (const [i, { leftMs }] of c!.entries()) {
      assert.ok(leftMs <= b![i]!.leftMs && b![i]!.leftMs <= a![i]!.leftMs && a![i]!.leftMs <= 4_000, `${i}`);
      assert.ok(leftMs > 1_000, 'the deadline is lost');
    }
    await retriesNearTheFault('always', (i) => call(traced(i), 'fail'));
  });

  /** So many that the reserves of two sidecars, 10 attempts each and 1/s, are a small part. */
  const CALLS = 200;

  /** So many calls, eight at a time; those that failed. */
  async function load(one: (i: number) => Promise<unknown>): Promise<number> {
    let next = 0;
    let failed = 0;
    const lane = async (): Promise<void> => {
      for (let i = next++; i < CALLS; i = next++) await one(i).catch(() => failed++);
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    return failed;
  }

  const traced = (i: number) => `00-${String(i + 1).padStart(32, '0')}-b7ad6b7169203331-01`;

  async function retriesNearTheFault(failures: 'always' | 'second', one: (i: number) => Promise<unknown>) {
    rmSync(logFile(), { force: true });
    const beganMs = performance.now();
    const failed = await load(one);
    const seconds = (performance.now() - beganMs) / 1_000;
    const [a, b, c] = ['a', 'b-2', 'c'].map((service) => callsOf(service).length / CALLS);
    const found = `attempts per call ${a}, ${b}, ${c} in ${seconds} s; ${failed} calls failed`;
    const reserves = (2 * RESERVE_PER_SECOND * (10 + seconds)) / CALLS;
    assert.ok(c! > 1 && c! <= 1.2 + reserves + 0.01, found);
    assert.ok(a! <= 1.05 && b! <= 1.05, found);
    assert.ok(failures === 'always' ? failed === CALLS : failed < CALLS / 2, found);
  }

  if (EFFORT > 1)
    it('retries at the hop next to the fault only: the last service fails every second time, calls without a trace', async () => {
      const other = Mesh.start(chain(logFile(), 'second', REPLICAS));
      afterTest(() => other.discard());
      const by = await clientOf(other);
      afterTest(() => by.close());
      await retriesNearTheFault('second', () => call('', 'hello', by));
    });

  it('is held to the intentions of each hop', async () => {
    const text = 'intentions: [{from: app, to: a, action: allow}, {from: a, to: b-2, action: allow}]';
    writeFileSync(join(mesh.temporary, 'mesh.yaml'), chain(logFile(), 'asked', REPLICAS, text));
    await until('that is taken', () => mesh.events.some(({ event }) => event === 'mesh-taken'), 60_000);
    await assert.rejects(call(TRACE), /PERMISSION_DENIED: b-2 may not call c/);
    assert.deepEqual([callsOf('b-2').length, callsOf('c').length], [1, 0]);
  });
});
