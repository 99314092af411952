/** A service that is not of the Open Inference Protocol describes its methods, and callers treat them accordingly, without configuration. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { admin, Mesh } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { TestClient } from '../../kit/service/model-server.js';

const PROGRAM = fileURLToPath(new URL('../../kit/service/prices-process.js', import.meta.url));
const asIs = (bytes: Buffer): Buffer => bytes;

describe('a service that describes its methods', function () {
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
  /** What the service noted, and the file is empty again. */
  const noted = (): string[][] => {
    if (!existsSync(logFile())) return [];
    return readFileSync(logFile(), 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
  };
  const predict = (): Promise<unknown> =>
    client!.bytes({ path: '/shop.Prices/Predict', responseDeserialize: asIs }, Buffer.alloc(0));
  const watch = (count: number): Promise<number> =>
    new Promise((resolve, reject) => {
      let got = 0;
      const request = Buffer.from([0x08, count]);
      const stream = client!.client.makeServerStreamRequest('/shop.Prices/Watch', asIs, asIs, request);
      stream.on('data', () => got++);
      stream.on('end', () => resolve(got));
      stream.on('error', reject);
    });

  it('has unary calls with a deadline, and streams without one, in a mesh file that says neither', async () => {
    const words = [process.execPath, PROGRAM, '{address}', logFile()];
    mesh = Mesh.start(
      [
        'services:',
        `  prices: {command: ${JSON.stringify(words)}, replicas: 2}`,
        'caller: {name: app, admin: "127.0.0.1:0", upstreams: {prices: {listen: "127.0.0.1:0"}}}',
      ].join('\n'),
    );
    const { call, sidecars } = await mesh.ready();
    const caller = sidecars.find(({ role }) => role === 'caller')!;
    client = new TestClient(call['prices']!);
    const status = async (): Promise<StatusReport> =>
      JSON.parse((await admin(caller.admin, '/endpoints')).body) as StatusReport;
    const methods = await until('the methods are known', async () => (await status()).methods, 30_000);
    const from = { upstream: 'prices', from: 'description' };
    assert.deepEqual(methods, [
      { ...from, method: '/shop.Prices/Predict', kind: 'unary' },
      { ...from, method: '/shop.Prices/Watch', kind: 'streaming' },
    ]);
    await predict();
    assert.equal(await watch(5), 5);
    const [[unary, leftMs], [stream, none]] = noted() as [string[], string[]];
    assert.deepEqual([unary, stream, none], ['Predict', 'Watch', 'none']);
    assert.ok(Number(leftMs) > 5_000 && Number(leftMs) <= 15_000, `${leftMs} ms`);
    const { body } = await admin(caller.admin, '/metrics');
    assert.match(body, /outrider_calls_total\{[^}]*method="\/shop\.Prices\/Predict"[^}]*\} 1\n/);
    assert.match(body, /outrider_methods_known\{upstream="prices",kind="unary",from="description"\} 1\n/);
  });
});
