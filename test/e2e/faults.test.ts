/** Injected faults as an operator uses them: a real sidecar, its admin port, and calls through it. */
import assert from 'node:assert/strict';
import { writeAddress } from '../../sidecar/config/codecs/address.js';
import { scratchForEach } from '../kit/mocha/scratch.js';
import { admin } from '../kit/process/outrider.js';
import { until } from '../kit/process/processes.js';
import { SidecarProcess } from '../kit/process/sidecars.js';
import { answered, SidecarInMemory } from '../kit/stack/sidecar-in-memory.js';
import type { Application } from '../kit/stack/stack.js';

describe('faults injected at the admin port', function () {
  this.timeout(30_000);

  const scratch = scratchForEach();
  let bench: SidecarInMemory;
  let sidecar: SidecarProcess | undefined;

  beforeEach(() => {
    bench = new SidecarInMemory();
  });

  afterEach(async () => {
    sidecar?.child.kill('SIGKILL');
    await sidecar?.exited;
    await bench.close();
  });

  async function start(more: string): Promise<{ address: string; app: Application }> {
    const { address } = await bench.server('far');
    const upstream = `{ listen: "127.0.0.1:0", tls: plaintext, endpoints: ["${writeAddress(address)}"] }`;
    const file = scratch.write(
      'sidecar.yaml',
      `service: web\nadmin: 127.0.0.1:0\n${more}\noutbound: { upstreams: { far: ${upstream} } }\n`,
    );
    sidecar = await SidecarProcess.start(file);
    await sidecar.ready();
    return { address: sidecar.adminAddress, app: await bench.app(sidecar.address('upstream far')) };
  }

  async function call(app: Application): Promise<string> {
    const stream = await answered(app.call());
    return `${stream.status} ${stream.reason ?? ''}`.trim();
  }

  it('hit calls until they are cleared, and are counted', async () => {
    const { address, app } = await start('fault_injection: true');
    assert.equal(await call(app), '0');
    const on = await admin(address, '/faults?upstream=far&abort=resource-exhausted&for=10m', 'POST');
    assert.equal(on.status, 201, on.body);
    for (let i = 0; i < 3; i++) assert.equal(await call(app), '8 fault-injected');
    const { faults } = JSON.parse((await admin(address, '/faults')).body);
    assert.deepEqual([faults.length, faults[0].injected, faults[0].abort], [1, 3, 'RESOURCE_EXHAUSTED']);
    assert.match(
      (await admin(address, '/metrics')).body,
      /^outrider_faults_injected_total\{direction="outbound",kind="abort"\} 3$/m,
    );
    assert.deepEqual(JSON.parse((await admin(address, '/faults', 'DELETE')).body), { cleared: 1 });
    assert.equal(await call(app), '0');
    const gone = await admin(address, '/faults?upstream=far&abort=14&for=1ms', 'POST');
    assert.equal(gone.status, 201);
    await until('it is over by itself', async () => (await call(app)) === '0');
  });

  it('are refused where the file does not allow them', async () => {
    const { address, app } = await start('');
    const refused = await admin(address, '/faults?upstream=far&abort=14', 'POST');
    assert.equal(refused.status, 403);
    assert.match(refused.body, /fault_injection: true/);
    assert.equal(await call(app), '0');
  });
});
