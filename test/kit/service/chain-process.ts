/**
 * A model service of a chain, run as a program by `outrider up`: `ADDRESS LOG [NEXT] [FAILURES]`. With NEXT it passes each
 * ModelInfer on to that upstream, by a stock client, with what is left of the deadline and the caller's trace context and
 * nothing else, and gives the answer or the status of it. Without NEXT it answers by itself, and fails: FAILURES is
 * `never`, `asked` (requests that say "fail") or `second` (every second one). Each call is a line of LOG: `SERVICE CALL-LEFT-MS TRACE`.
 */

import { appendFileSync } from 'node:fs';
import {
  Client,
  credentials,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { asIs, rawMethod } from '../../../sidecar/cli/chaos/protocol/raw-method.js';
import { variableOf } from '../../../sidecar/config/upstream-variable.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const [service = '', address = '', log = '', next = '', failures = 'never'] = process.argv.slice(2);
const TRACE = ['traceparent', 'tracestate'];
let calls = 0;

const client =
  next === '' ? undefined : new Client(process.env[variableOf(next)]!, credentials.createInsecure());

const server = new Server();
const method = (path: string, handle: handleUnaryCall<Buffer, Buffer>) => ({
  service: {
    call: rawMethod(path),
  },
  handlers: { call: handle },
});

const infer = method(INFER, (call, reply) => {
  calls += 1;
  const trace = new Metadata();
  for (const key of TRACE) for (const value of call.metadata.get(key)) trace.add(key, value);
  const deadline = call.getDeadline();
  const leftMs = Number(deadline) - Date.now();
  appendFileSync(log, `${service} ${Math.round(leftMs)} ${trace.get('traceparent').join()}\n`);
  if (client === undefined) {
    const isFailure =
      (failures === 'asked' && String(call.request) === 'fail') || (failures === 'second' && calls % 2 === 0);
    if (isFailure) reply({ code: status.UNAVAILABLE, details: `${service} fails on purpose` });
    else reply(null, call.request);
    return;
  }
  const done = (error: ServiceError | null, answer?: Buffer): void => {
    if (error === null) reply(null, answer!);
    else reply({ code: error.code, details: error.details });
  };
  client.makeUnaryRequest(INFER, asIs, asIs, call.request, trace, { deadline }, done);
});

const SERVING = Buffer.from([0x08, 1]);
const health = method('/grpc.health.v1.Health/Check', (_, reply) => reply(null, SERVING));

for (const { service: definition, handlers } of [infer, health]) server.addService(definition, handlers);
server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
});
process.on('SIGTERM', () => process.exit(0));
