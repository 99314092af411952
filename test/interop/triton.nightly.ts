/**
 * For .ci/nightly: two real Tritons behind sidecars; one gets SIGTERM while calls run.
 * `npx mocha dist/test/interop/triton.nightly.js`
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ModelInferRequest } from '../../proto/messages.js';
import { writeAddress } from '../../sidecar/config/codecs/address.js';
import { Load, summarize } from '../drills/faults/load.js';
import { startTriton } from '../kit/interop/triton.js';
import { afterTest } from '../kit/mocha/after-test.js';
import { scratchForTest } from '../kit/mocha/scratch.js';
import { SidecarBench } from '../kit/process/sidecars.js';
import { toolOrSkip } from '../kit/process/tools.js';

const PER_SECOND = 15;

function request(n: number): ModelInferRequest {
  return {
    model_name: 'echo',
    inputs: [{ name: 'input', datatype: 'FP32', shape: ['4'] }],
    raw_input_contents: [contentOf(n)],
  };
}

function contentOf(n: number): Buffer {
  const raw = Buffer.alloc(16);
  for (let i = 0; i < 4; i++) raw.writeFloatLE(n + i, 4 * i);
  return raw;
}

describe('a real Triton that ends', function () {
  this.timeout(180_000);

  it('loses no call of a mesh: its NOT_FOUND while it ends is moved, although a caller of its own gets it', async function () {
    const python = await toolOrSkip(this, 'triton');
    const scratch = scratchForTest();
    const bench = await SidecarBench.open();
    afterTest(() => bench.close());
    const tritons: Awaited<ReturnType<typeof startTriton>>[] = [];
    const inbounds: string[] = [];
    const identity = await bench.identity('echo');
    for (const name of ['one', 'two']) {
      const triton = await startTriton(python, path.join(scratch.path, name));
      afterTest(() => triton.program.stop());
      tritons.push(triton);
      const inbound = { listen: '127.0.0.1:0', local: triton.address, default_intention: 'allow' };
      const sidecar = await bench.start(name, { service: 'echo', identity, inbound });
      await sidecar.ready();
      inbounds.push(writeAddress(sidecar.address('inbound')));
    }
    const routes = [
      {
        methods: ['/inference.GRPCInferenceService/ModelInfer'],
        idempotent: true,
        retry: { on: ['unavailable'] },
      },
    ];
    const caller = await bench.start('app', {
      service: 'app',
      identity: await bench.identity('app'),
      outbound: {
        upstreams: {
          echo: { listen: '127.0.0.1:0', endpoints: inbounds, balance: { kind: 'round-robin' }, routes },
        },
      },
    });
    await caller.ready();
    const common = { perSecond: PER_SECOND, deadlineMs: 20_000, request };
    const through = await Load.start({
      ...common,
      target: writeAddress(caller.address('upstream echo')),
      judge: ({ raw_output_contents: [raw] }, n) =>
        contentOf(n).equals(Buffer.from(raw ?? [])) ? undefined : 'other bytes',
    });
    const direct = await Load.start({ ...common, target: tritons[0]!.address });
    await delay(3_000);
    await tritons[0]!.program.stop();
    await delay(3_000);
    await through.stop();
    await direct.stop();
    const refused = summarize(await direct.between(0)).failures.map(({ what }) => what);
    assert.ok(refused.length > 0, 'a caller without a mesh noticed nothing');
    const { sent, failures } = summarize(await through.between(0));
    assert.deepEqual(failures, [], `a caller of its own was told: ${refused.join(' | ')}`);
    assert.ok(sent > 5 * PER_SECOND, `${sent} calls`);
  });
});
