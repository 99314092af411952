/** A SPIFFE Workload API on a Unix socket, by grpc-js: what it says, and how it fails, is set by the test. */
import { createPrivateKey } from 'node:crypto';
import {
  type GrpcObject,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { certificatesFromPem } from '../../../sidecar/identity/x509/pem.js';
import { testFile } from '../process/tools.js';
import { spiffeUri, type TestAuthority, type TestLeaf } from './certificates.js';

/** One SVID as the API gives it. */
export interface ServedSvid {
  readonly spiffe_id: string;
  readonly x509_svid: Buffer;
  readonly x509_svid_key: Buffer;
  readonly bundle: Buffer;
  readonly hint?: string;
}

/** An X509SVIDResponse. */
export interface ServedSvids {
  readonly svids: readonly ServedSvid[];
  readonly federated_bundles?: Readonly<Record<string, Buffer>>;
}

type Call = ServerWritableStream<object, ServedSvids>;

const chainOf = (pem: string): Buffer => Buffer.concat(certificatesFromPem(pem));

/** A leaf as an SVID. @param over fields that are another than the leaf's. */
export function svidOf(leaf: TestLeaf, over: Partial<ServedSvid> = {}): ServedSvid {
  return {
    spiffe_id: spiffeUri('web'),
    x509_svid: chainOf(leaf.certChainPem),
    x509_svid_key: createPrivateKey(leaf.keyPem).export({ format: 'der', type: 'pkcs8' }),
    bundle: chainOf(leaf.rootsPem),
    ...over,
  };
}

/** The bundle of an authority, as other trust domains get it. */
export function bundleOf(...authorities: readonly TestAuthority[]): Buffer {
  return Buffer.concat(authorities.map(({ der }) => der));
}

/** Serves at one path, and can be stopped and started again. */
export class WorkloadApiServer {
  /** What a new call gets; `hang`: nothing; a code: that status. */
  answer: ServedSvids | 'hang' | { readonly code: number; readonly details: string };
  /** Calls so far. */
  calls = 0;
  /** Values of the security header, by call. */
  readonly headers: (string | undefined)[] = [];
  private readonly open = new Set<Call>();
  private server: Server | undefined;

  constructor(
    readonly path: string,
    answer: WorkloadApiServer['answer'],
  ) {
    this.answer = answer;
  }

  async start(): Promise<void> {
    const file = testFile('kit', 'identity', 'workload.proto');
    const loaded: GrpcObject = loadPackageDefinition(loadSync(file, { keepCase: true }));
    const { service } = loaded['SpiffeWorkloadAPI'] as ServiceClientConstructor;
    const server = new Server();
    server.addService(service, { FetchX509SVID: (call: Call) => this.onCall(call) });
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${this.path}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      ),
    );
    this.server = server;
  }

  /** Calls that are open. */
  get openCalls(): number {
    return this.open.size;
  }

  /** What open calls get now, and new ones from now on. */
  push(answer: ServedSvids): void {
    this.answer = answer;
    for (const call of this.open) call.write(answer);
  }

  /** Ends open calls with this status, and new ones from now on. */
  refuse(code: number, details: string): void {
    this.answer = { code, details };
    for (const call of this.open) call.emit('error', { code, details });
    this.open.clear();
  }

  /** Gone, as an agent that was killed; the socket with it. */
  stop(): void {
    this.server?.forceShutdown();
    this.server = undefined;
    this.open.clear();
  }

  private onCall(call: Call): void {
    this.calls++;
    this.headers.push(call.metadata.get('workload.spiffe.io')[0]?.toString());
    const { answer } = this;
    if (answer !== 'hang' && 'code' in answer) return void call.emit('error', answer);
    this.open.add(call);
    call.on('cancelled', () => this.open.delete(call));
    if (answer !== 'hang') call.write(answer);
  }
}
