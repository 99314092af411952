/**
 * A real model server on a Unix socket in a temporary directory, and a stock gRPC client that calls it.
 */

import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type CallOptions,
  type ChannelOptions,
  Client,
  credentials,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { type Method, protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { type ModelServerOptions, startModelServer } from '../../../services/model-server/server.js';
import { SERVER_NAMES, type ServerName } from '../../../services/model-server/transport/servers.js';
import { packageRoot } from '../process/package-root.js';

export class TestClient {
  readonly client: Client;
  /** Trailing metadata of the last call. */
  trailers: Metadata | undefined;

  constructor(target: string, options: ChannelOptions = {}) {
    const sizes = { 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 };
    const all = { ...sizes, 'grpc.use_local_subchannel_pool': 1, ...options };
    this.client = new Client(target, credentials.createInsecure(), all);
  }

  call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    return this.bytes(method, method.requestSerialize(request), options) as Promise<Response>;
  }

  /** The request exactly as given, be it a message or not. */
  bytes(
    method: Pick<Method<never, unknown>, 'path' | 'responseDeserialize'>,
    bytes: Buffer,
    options: CallOptions = {},
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { path, responseDeserialize } = method;
      const done = (error: ServiceError | null, response?: unknown): void =>
        error === null ? resolve(response) : reject(error);
      const asIs = (b: Buffer): Buffer => b;
      const call = this.client.makeUnaryRequest(path, asIs, responseDeserialize, bytes, options, done);
      call.on('status', (s) => {
        this.trailers = s.metadata;
      });
    });
  }

  infer(request: ModelInferRequest, options: CallOptions = {}): Promise<ModelInferResponse> {
    return this.call(protocols().inference.ModelInfer, request, options);
  }

  close(): void {
    this.client.close();
  }
}

export type Harness = Awaited<ReturnType<typeof startHarness>>;

/** The tests of `suite` over each server that can carry the calls; it gets `startHarness` for that one, and its name. */
export function describeOverServers(
  title: string,
  suite: (start: typeof startHarness, server: ServerName) => void,
): void {
  for (const server of SERVER_NAMES)
    describe(`${title}, over ${server}`, () =>
      suite((models, only = [], more = {}) => startHarness(models, only, { server, ...more }), server));
}

/** A server over `models`, or those of them that `only` names, loaded. */
export async function startHarness(
  models: string,
  only: readonly string[] = [],
  more: Partial<ModelServerOptions> = {},
) {
  const directory = temporaryDirectory();
  const log: string[] = [];
  const server = await startModelServer({
    modelsDirectory: models,
    only,
    listen: { kind: 'unix', path: join(directory, 's') },
    version: '0.0.0',
    log: (line) => log.push(line),
    wallNow: Date.now,
    runNow: () => performance.now(),
    ...more,
  });
  await server.loaded;
  const client = new TestClient(server.target);
  const stop = async () => {
    client.close();
    await server.stop();
    rmSync(directory, { recursive: true });
  };
  return { server, client, log, stop };
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'outrider-'));
}

export type ServiceProcess = ReturnType<typeof spawnService>;

/** A real `serve` process. @param stderr a descriptor in place of the pipe that `stderr()` reads. */
export function spawnService(
  args: readonly string[],
  stdin: 'ignore' | 'pipe' = 'ignore',
  stderr: 'pipe' | number = 'pipe',
) {
  const main = fileURLToPath(new URL('../../../services/model-server/main.js', import.meta.url));
  const options = { cwd: packageRoot, stdio: [stdin, 'ignore', stderr] } satisfies SpawnOptions;
  const child = spawn(process.execPath, [main, ...args], options);
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  return { child, stderr: () => text, exited };
}

/** Resolves when `service` is SERVING at `target`; a Watch, so nothing sleeps. */
export async function untilServing(client: TestClient, service = ''): Promise<void> {
  const { Watch } = protocols().health;
  for (;;) {
    const stream = client.client.makeServerStreamRequest(
      Watch.path,
      Watch.requestSerialize,
      Watch.responseDeserialize,
      { service },
      { waitForReady: true } as CallOptions,
    );
    const serving = await new Promise<boolean>((resolve) => {
      stream.on('data', ({ status }) => status === 'SERVING' && resolve(true));
      stream.on('error', () => resolve(false));
    });
    stream.cancel();
    if (serving) return;
  }
}

/** The status of a call that must fail. */
export async function failure(call: Promise<unknown>): Promise<{ code: number; details: string }> {
  try {
    await call;
  } catch (error) {
    const { code, details } = error as ServiceError;
    return { code, details };
  }
  throw new Error('the call succeeded');
}
