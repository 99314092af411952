import { type Server, ServerCredentials } from '@grpc/grpc-js';

/** @param address `host:port`. Resolves with the port when the server listens. */
export function bindServer(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}
