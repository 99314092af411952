/**
 * Loaded into a sidecar by `--import`: says how much memory is in use once everything else has been collected. What RSS
 * shows beside it the collector has not got to, which a busy machine runs late. The port is written to OUTRIDER_LIVE_MEMORY.
 */
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import v8 from 'node:v8';
import vm from 'node:vm';
import { isMainThread } from 'node:worker_threads';

const file = process.env['OUTRIDER_LIVE_MEMORY'];
if (isMainThread && file !== undefined) {
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc') as () => void;
  const server = createServer((socket) => {
    gc();
    const { heapUsed, external } = process.memoryUsage();
    socket.end(String(heapUsed + external));
  });
  server.listen(0, '127.0.0.1', () => writeFileSync(file, String((server.address() as AddressInfo).port)));
  server.unref();
}
