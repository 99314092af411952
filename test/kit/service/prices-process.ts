/**
 * A model service of its own kind, run as a program by `outrider up`: `ADDRESS LOG`. It has server reflection and a health check. Each
 * call is a line of LOG: `METHOD LEFT-MS`, the second `none` where the call has no deadline.
 */

import { appendFileSync } from 'node:fs';
import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { rawMethod } from '../../../sidecar/cli/chaos/protocol/raw-method.js';
import { testFile } from '../process/tools.js';

const [address = '', log = ''] = process.argv.slice(2);

interface Call {
  readonly request: { readonly count?: number };
  getDeadline(): Date | number;
}
interface Stream extends Call {
  write(answer: object): void;
  end(): void;
}

function note(method: string, call: Call): void {
  const leftMs = Number(call.getDeadline()) - Date.now();
  appendFileSync(log, `${method} ${Number.isFinite(leftMs) ? Math.round(leftMs) : 'none'}\n`);
}

const definitions = loadSync(testFile('kit', 'service', 'proto', 'prices.proto'));
const { shop } = loadPackageDefinition(definitions) as unknown as {
  readonly shop: { readonly Prices: ServiceClientConstructor };
};
const server = new Server();
server.addService(shop.Prices.service, {
  Predict(call: Call, reply: (error: null, answer: object) => void) {
    note('Predict', call);
    reply(null, { text: '42' });
  },
  Watch(call: Stream) {
    note('Watch', call);
    for (let i = 0; i < (call.request.count ?? 0); i++) call.write({ text: String(i) });
    call.end();
  },
});
server.addService(
  { Check: rawMethod('/grpc.health.v1.Health/Check') },
  {
    Check: (_: unknown, reply: (error: null, answer: Buffer) => void) => reply(null, Buffer.from([0x08, 1])),
  },
);
new ReflectionService(definitions).addToServer(server);
server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
});
process.on('SIGTERM', () => process.exit(0));
