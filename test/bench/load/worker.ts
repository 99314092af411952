/**
 * The load process: the backends and, on request, runs of the load. One process on one core, so that what loads and
 * what answers never compete for it, and a paced run can watch the clock without taking it from the backend.
 */

import { performance } from 'node:perf_hooks';
import { startBackend } from './backend.js';
import type { Reply, Request } from './protocol.js';
import { Run } from './run.js';

function send(reply: Reply): void {
  process.send?.(reply);
}

const unary = await startBackend('unary');
const stream = await startBackend('stream');
const aside = await startBackend('unary');
const executions = (): number => unary.executions() + stream.executions();

process.on('message', (request: Request) => {
  if (request.do === 'executions') {
    send({ id: request.id, executions: executions() });
    return;
  }
  new Run(request.spec, () => performance.now(), executions).go().then(
    (result) => send({ id: request.id, result }),
    (error: unknown) => send({ id: request.id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
send({ id: 0, ready: { unary: unary.port, stream: stream.port, aside: aside.port } });
