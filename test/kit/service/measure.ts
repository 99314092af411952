/**
 * What one ModelInfer of the digits model costs the model service: `npm run build && node dist/test/kit/service/measure.js [calls]`.
 * CPU is the server process's own (user + system, /proc), so the client that shares the machine does not count.
 */

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot, spawnService, TestClient, temporaryDirectory, untilServing } from './model-server.js';

const TICKS_PER_SECOND = 100;

function cpuMicros(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

const calls = Number(process.argv[2] ?? 10_000);
const directory = temporaryDirectory();
const target = `unix:${join(directory, 's')}`;
const service = spawnService(['--models', join(packageRoot, 'services/digits/models'), '--listen', target]);
const client = new TestClient(target);
const pixels = new Uint8Array(784 * 4);
const infer = () =>
  client.infer({
    model_name: 'digits',
    inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }],
    raw_input_contents: [pixels],
  });

async function measure(concurrency: number, count: number): Promise<void> {
  const times: number[] = [];
  let left = count;
  const one = async () => {
    while (left-- > 0) {
      const began = performance.now();
      await infer();
      times.push(performance.now() - began);
    }
  };
  const [cpu, began] = [cpuMicros(service.child.pid!), performance.now()];
  await Promise.all(Array.from({ length: concurrency }, one));
  const wallMs = performance.now() - began;
  const micros = (cpuMicros(service.child.pid!) - cpu) / count;
  times.sort((a, b) => a - b);
  const at = (q: number) => times[Math.min(times.length - 1, Math.floor(q * times.length))]!.toFixed(2);
  process.stdout.write(
    `c=${concurrency}: ${micros.toFixed(0)} µs of server CPU per call, ${Math.round((1000 * count) / wallMs)}/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms\n`,
  );
}

await untilServing(client);
await measure(32, calls); // warm
for (const concurrency of [1, 32]) await measure(concurrency, calls);
client.close();
service.child.kill('SIGTERM');
await service.exited;
rmSync(directory, { recursive: true });
