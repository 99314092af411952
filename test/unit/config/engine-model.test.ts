import assert from 'node:assert/strict';
import { engineModelOf, startDigest } from '../../../sidecar/config/engine-model.js';
import type { InboundConfig } from '../../../sidecar/config/model.js';

type Inbound = Pick<InboundConfig, 'engine' | 'engineModel' | 'local'>;

const tcp = (port: number): Inbound => ({ engine: 'vllm', local: { kind: 'tcp', host: '127.0.0.1', port } });
const words = (port: number, model = 'llama'): { command: string[]; env: Record<string, string> } => ({
  command: ['vllm', 'serve', model, '--grpc', '--port', String(port)],
  env: { VLLM_HOST_IP: `10.0.0.${port % 10}`, MODEL_DIR: '/models' },
});

describe('what an engine runs', () => {
  it('is the same at replicas that differ in their address only', () => {
    const first = engineModelOf(tcp(9_001), words(9_001));
    assert.match(first, /^[0-9a-f]{16}$/);
    assert.equal(engineModelOf(tcp(9_002), words(9_002)), first);
    const listen = (port: number) => ({ command: ['serve', '--listen', `127.0.0.1:${port}`], env: {} });
    assert.equal(engineModelOf(tcp(9_001), listen(9_001)), engineModelOf(tcp(9_002), listen(9_002)));
  });

  it('is another with another model, in the command or in the environment', () => {
    const first = engineModelOf(tcp(9_001), words(9_001));
    assert.notEqual(engineModelOf(tcp(9_001), words(9_001, 'qwen')), first);
    const env = { ...words(9_001).env, MODEL_DIR: '/other' };
    assert.notEqual(engineModelOf(tcp(9_001), { ...words(9_001), env }), first);
    // A number that is no port stays.
    assert.notEqual(engineModelOf(tcp(9_002), words(9_001)), first);
  });

  it('says nothing of devices, hosts, ports and secrets, and does not depend on the order of variables', () => {
    const command = ['serve'];
    const plain = startDigest({ command, env: { A: '1', B: '2' } });
    assert.equal(startDigest({ command, env: { B: '2', A: '1' } }), plain);
    for (const name of ['CUDA_VISIBLE_DEVICES', 'VLLM_HOST_IP', 'VLLM_PORT', 'HF_TOKEN', 'DB_PASSWORD'])
      assert.equal(startDigest({ command, env: { A: '1', B: '2', [name]: 'x' } }), plain, name);
  });

  it('is what the file says, if it says it', () =>
    assert.equal(engineModelOf({ ...tcp(1), engineModel: 'llama@5' }, words(1)), 'llama@5'));

  it('is not known of an engine that something else starts, nor of what is no engine', () => {
    assert.equal(engineModelOf(tcp(1), undefined), '');
    assert.equal(engineModelOf(tcp(1), { command: [], env: {} }), '');
    assert.equal(engineModelOf({ local: tcp(1).local }, words(1)), '');
  });
});
