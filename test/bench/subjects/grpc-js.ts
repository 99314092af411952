/** The plain way with the stock gRPC library: a generic server that passes each message on through a client. */

import * as grpc from '@grpc/grpc-js';
import { asIs, rawMethod } from '../../../sidecar/cli/chaos/protocol/raw-method.js';
import { PATHS } from '../load/protocol.js';

const [listenPort, backendPort] = process.argv.slice(2).map(Number);
const limits = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

const client = new grpc.Client(`127.0.0.1:${backendPort}`, grpc.credentials.createInsecure(), limits);

function unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>): void {
  const options = { deadline: call.getDeadline() };
  client.makeUnaryRequest(PATHS.unary, asIs, asIs, call.request, call.metadata, options, (error, value) => {
    if (error !== null) answer({ code: error.code, details: error.details });
    else answer(null, value);
  });
}

function stream(call: grpc.ServerWritableStream<Buffer, Buffer>): void {
  const out = client.makeServerStreamRequest(PATHS.stream, asIs, asIs, call.request, call.metadata, {
    deadline: call.getDeadline(),
  });
  call.on('cancelled', () => out.cancel());
  out.on('error', (error) => call.emit('error', error));
  out.pipe(call as unknown as NodeJS.WritableStream);
}

const server = new grpc.Server({ ...limits, 'grpc.max_concurrent_streams': 512 });
server.addService(
  {
    Unary: rawMethod(PATHS.unary),
    Stream: rawMethod(PATHS.stream, { responseStream: true }),
  },
  { Unary: unary, Stream: stream },
);
server.bindAsync(`127.0.0.1:${listenPort}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
});
