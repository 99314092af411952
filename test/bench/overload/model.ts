/**
 * A model that does so many calls at once, each for a fixed time, and lines up the rest inside itself as most servers do:
 * `node overload-model.js PLACES MILLISECONDS`. It waits instead of computing, so that it takes nothing from the load
 * beside it; a run that has begun goes on to its end, whether or not its caller is still there.
 */

import { type handleUnaryCall, Server, ServerCredentials } from '@grpc/grpc-js';
import { answerRequests } from '../bench-process.js';
import { type ModelCounts, UNARY } from './protocol.js';

const places = Number(process.argv[2]);
const serviceMs = Number(process.argv[3]);

let runs = 0;
let unanswered = 0;
let busy = 0;
const waiting: (() => void)[] = [];

function begin(run: () => void): void {
  if (busy >= places) return void waiting.push(run);
  busy += 1;
  run();
}

function end(): void {
  busy -= 1;
  const next = waiting.shift();
  if (next !== undefined) begin(next);
}

const run: handleUnaryCall<Buffer, Buffer> = (call, reply) => {
  begin(() => {
    if (call.cancelled) return void setImmediate(end); // it had not begun
    setTimeout(() => {
      runs += 1;
      if (call.cancelled) unanswered += 1;
      else reply(null, call.request);
      end();
    }, serviceMs);
  });
};

const asIs = (bytes: Buffer): Buffer => bytes;
const server = new Server({ 'grpc.max_concurrent_streams': 0xffff_ffff });
server.addService(
  {
    Run: {
      path: UNARY,
      requestStream: false,
      responseStream: false,
      ...{
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    },
  },
  { Run: run },
);

server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  answerRequests((): ModelCounts => ({ runs, unanswered }), port);
});
