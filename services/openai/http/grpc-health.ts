/** grpc.health.v1 for the sidecar that starts this service and watches it. */
import { Server, ServerCredentials, type ServerWritableStream, type sendUnaryData } from '@grpc/grpc-js';
import { healthService } from '../engine/protocols.js';

type Status = 'SERVING' | 'NOT_SERVING';
type Watcher = ServerWritableStream<object, { status: Status }>;

export class GrpcHealth {
  private readonly server = new Server();
  private readonly watchers = new Set<Watcher>();
  private status: Status = 'NOT_SERVING';

  constructor() {
    this.server.addService(healthService(), {
      Check: (_: unknown, done: sendUnaryData<object>) => done(null, { status: this.status }),
      Watch: (call: Watcher) => {
        this.watchers.add(call);
        call.on('close', () => this.watchers.delete(call));
        call.on('cancelled', () => this.watchers.delete(call));
        call.write({ status: this.status });
      },
    });
  }

  set(status: Status): void {
    if (status === this.status) return;
    this.status = status;
    for (const watcher of this.watchers) watcher.write({ status });
  }

  listen(address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }

  close(): void {
    this.server.forceShutdown();
  }
}
