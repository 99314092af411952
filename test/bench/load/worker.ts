/**
 * The load process: the backends and, on request, runs of the load. One process on one core, so that what loads and
 * what answers never compete for it, and a paced run can watch the clock without taking it from the backend.
 */

import { performance } from 'node:perf_hooks';
import { answerRequests } from '../../kit/process/asked-process.js';
import { startBackend } from './backend.js';
import type { BackendPorts, LoadRequest } from './protocol.js';
import { Run } from './run.js';

const unary = await startBackend('unary');
const stream = await startBackend('stream');
const download = await startBackend('download');
const tokens = await startBackend('tokens');
const aside = await startBackend('unary');
const counted = [unary, stream, download, tokens];
const executions = (): number => counted.reduce((sum, backend) => sum + backend.executions(), 0);

const ports: BackendPorts = {
  unary: unary.port,
  stream: stream.port,
  download: download.port,
  tokens: tokens.port,
  aside: aside.port,
};
answerRequests<LoadRequest>(
  (request) =>
    request.do === 'executions'
      ? executions()
      : new Run(request.spec, () => performance.now(), executions).go(),
  ports,
);
