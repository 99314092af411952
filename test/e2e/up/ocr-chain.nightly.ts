/** Text in pictures by three model services, each beside its sidecar, with the real networks. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Mesh, outrider, REPOSITORY, type UpFacts } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { requireModels } from '../../kit/service/made-models.js';

const PARCEL = join(REPOSITORY, 'services/ocr/samples/parcel.png');
const UPRIGHT = ['Fragile: do not drop', 'Gross weight 12 kg'];
const UPSIDE_DOWN = ['Keep this side up', 'Store in a dry place'];
const METHODS = 'methods: [/inference.GRPCInferenceService/ModelInfer]';

const meshOf = (models: string): string => `
services:
  find:
    models: ${models}/find
    upstreams:
      orient: {routes: [{${METHODS}, timeout: 2s}]}
      read: {routes: [{${METHODS}, timeout: 10s}]}
  orient: {models: ${models}/orient}
  read: {models: ${models}/read}
caller: {name: app, admin: "127.0.0.1:0", upstreams: {find: {listen: "127.0.0.1:0"}}}
`;

describe('the chain of find, orient and read through three sidecars', function () {
  this.timeout(180_000);
  let mesh: Mesh;
  let facts: UpFacts;

  before(async function () {
    mesh = Mesh.start(meshOf(requireModels(this, 'ocr')));
    facts = await mesh.ready();
  });
  after(() => mesh?.discard());

  /** What `outrider infer` says: the lines, and what the answer lacks; rejects when the call failed. */
  async function read(deadline = '30s'): Promise<{ readonly text: string[]; readonly degraded?: string }> {
    const args = ['infer', 'find', '--input', `image=@${PARCEL}`, '--target', facts.call['find']!];
    const { code, stdout, stderr } = await outrider([...args, '--deadline', deadline, '--json']);
    if (code !== 0) throw new Error(stderr);
    const { boxes, degraded } = JSON.parse(stdout) as { boxes: { text: string }[]; degraded?: string };
    return { text: boxes.map(({ text }) => text), ...(degraded !== undefined && { degraded }) };
  }

  const sidecarOf = (service: string): number => facts.sidecars.find((s) => s.service === service)!.pid;

  it('reads the sample page, its lines that stand upside down too', async () => {
    assert.deepEqual(await read(), { text: [...UPRIGHT, ...UPSIDE_DOWN] });
  });

  it('goes on without orient: answers are marked, none fails, and they are whole again when it is back', async () => {
    mesh.signal('SIGSTOP'); // so that nothing starts it again at once
    process.kill(sidecarOf('orient'), 'SIGKILL');
    try {
      for (let i = 0; i < 2; i++) {
        const { text, degraded } = await read();
        assert.equal(degraded, 'orient');
        assert.deepEqual(text.slice(0, 2), UPRIGHT);
      }
    } finally {
      mesh.signal('SIGCONT');
    }
    await until('the answer is whole', async () => (await read()).degraded === undefined, 60_000);
    assert.deepEqual(await read(), { text: [...UPRIGHT, ...UPSIDE_DOWN] });
  });

  it('fails by the deadline of the caller when read hangs, and goes on when it runs again', async () => {
    const pid = sidecarOf('read');
    process.kill(pid, 'SIGSTOP');
    try {
      await assert.rejects(read('2s'), /DEADLINE_EXCEEDED/);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until(
      'it reads again',
      async () => (await read().catch(() => undefined))?.text.length === 4,
      60_000,
    );
  });
});
