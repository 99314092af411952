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

  describe('where other numbers are equal to a port', () => {
    const digest = (port: number, ...command: string[]) => engineModelOf(tcp(port), { command, env: {} });
    const FORMS: Record<string, (port: number) => string[]> = {
      'an option and its value': (port) => ['--port', `${port}`],
      'its short form': (port) => ['-p', `${port}`],
      'an option of another name': (port) => ['--grpc-port', `${port}`],
      'an option with "="': (port) => [`--port=${port}`],
      'the address': (port) => ['--listen', `127.0.0.1:${port}`],
      'all addresses': (port) => ['--listen', `0.0.0.0:${port}`],
      'all addresses of IPv6': (port) => ['--listen', `[::]:${port}`],
      'no host': (port) => ['--listen', `:${port}`],
      'a URL': (port) => [`--listen=tcp://localhost:${port}/`],
      'a line of a shell': (port) => ['-c', `exec vllm serve --port ${port} --max-num-seqs 4`],
      JSON: (port) => [`{"port": ${port}}`],
      'a setting': (port) => [`server.grpcPort=${port}`],
    };

    for (const [form, words] of Object.entries(FORMS))
      it(`it is the same at all replicas whose port is in ${form}, and another with another length`, () => {
        const run = (port: number, length: number) =>
          digest(
            port,
            'vllm',
            ...words(port),
            '--max-model-len',
            `${length}`,
            `--block=${length}`,
            `a:${length}x`,
          );
        assert.equal(run(8_000, 8_000), run(8_001, 8_000));
        assert.equal(run(8_000, 8_001), run(8_001, 8_001));
        assert.notEqual(run(8_000, 8_000), run(8_001, 8_001));
      });

    it('it is another where a port is none of its own, or a part of a longer number', () => {
      for (const words of [
        ['--max-model-len', '9001'],
        ['--export', '9001'],
        ['--seed=9001'],
        ['llama-9001'],
        ['--metrics', '127.0.0.1:90010'],
        ['--port', '90010'],
        ['registry.example/llama:9001'],
      ])
        assert.notEqual(
          digest(9_001, ...words),
          digest(9_001, ...words.map((word) => word.replace('9001', '{port}'))),
          words.join(' '),
        );
    });

    it('its sockets too', () => {
      const at = (path: string, text: string) =>
        engineModelOf(
          { engine: 'vllm', local: { kind: 'unix', path } },
          { command: ['serve', text], env: {} },
        );
      assert.equal(at('/run/a', 'unix:/run/a'), at('/run/b', 'unix:/run/b'));
      assert.notEqual(at('/run/a', 'unix:/run/a1'), at('/run/b', 'unix:/run/b1'));
    });

    it('a variable that is the port', () => {
      const run = (port: number, env: Record<string, string>) =>
        engineModelOf(tcp(port), { command: ['serve'], env });
      assert.equal(run(8_000, { PORT: '8000' }), run(8_001, { PORT: '8001' }));
      assert.notEqual(run(8_000, { LENGTH: '8000' }), run(8_001, { LENGTH: '8001' }));
    });
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
