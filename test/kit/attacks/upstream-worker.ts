/**
 * The unharmed party of every attack, on a thread of its own so that the attacker's work does not slow it down: the
 * upstream that must not be buried, and a canary whose calls must go on.
 *
 * Runs as a worker; attacked-sidecar.ts sends it requests. The upstream is a raw server, because Node's own drops a connection after
 * a few dozen resets a second.
 */

import http2 from 'node:http2';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Address } from '../../../sidecar/config/model.js';
import { FrameType, grpcMessage, Setting, windowUpdate } from '../http2/h2-frames.js';
import type { TlsMaterial } from '../http2/raw-client.js';
import { answer, headersFrame, type RawCall, rawServer, trailersFrame } from '../http2/raw-server.js';

/** Methods of the upstream: answers at once, answers 200 KB at once, or never. */
export const Path = {
  quick: '/attack.Target/Quick',
  large: '/attack.Target/Large',
  hold: '/attack.Target/Hold',
} as const;
/** The canary's own method, so that its calls are not counted with the attacker's. */
const CANARY_PATH = '/attack.Target/Canary';
export const LARGE_BYTES = 200 * 1024;
const CALL_LIMIT_MS = 2000;
/** What servers grant beside the 64 KiB that a connection starts with, so that one stream cannot hold up the others. */
const CONNECTION_WINDOW = 16 << 20;

/** What the worker is started with. */
export interface UpstreamWorkerOptions {
  /** Calls that one connection to the upstream may have open; absent: any number. */
  readonly streams?: number | undefined;
  /** Bytes of each request that the upstream takes; absent: 65,535, HTTP/2's default. */
  readonly streamWindow?: number | undefined;
}

/**
 * Calls of the attacker that reached the upstream, how many of them it saw reset, and how many were open at most; `bytes`:
 * request payload received, padding included.
 */
export type UpstreamStats = Readonly<Record<'calls' | 'resets' | 'open' | 'mostOpen' | 'bytes', number>>;

/** For the calls of a canary that the machine keeps waiting, ms. */
const LEAST_CALLS_WAIT_MS = 5_000;

/** `why`: why the first failed call failed. */
export type CanaryReport = Awaited<ReturnType<Canary['stop']>>;

/** One listener to call, and how. */
export interface CanaryTarget {
  readonly address: Address;
  readonly tls: TlsMaterial | undefined;
}

export type Request =
  /** Answered when each has made its first call. */
  | { readonly kind: 'start canaries'; readonly targets: readonly CanaryTarget[]; readonly everyMs: number }
  /** Not before each has made so many calls, or some seconds have passed. */
  | { readonly kind: 'stop canaries'; readonly leastCalls: number }
  | { readonly kind: 'drop' }
  | { readonly kind: 'reset stats' }
  | { readonly kind: 'stats' };
export type Reply = Address | readonly CanaryReport[] | UpstreamStats | null;

async function startUpstream({ streams, streamWindow }: UpstreamWorkerOptions) {
  const settings: [id: number, value: number][] = [];
  if (streams !== undefined) settings.push([Setting.maxConcurrentStreams, streams]);
  if (streamWindow !== undefined) settings.push([Setting.initialWindowSize, streamWindow]);
  let calls = 0;
  let resets = 0;
  let mostOpen = 0;
  let bytes = 0;
  const open = new Set<string>();
  const large = grpcMessage(Buffer.alloc(LARGE_BYTES));
  const keyOf = (call: Pick<RawCall, 'connection' | 'streamId'>): string =>
    `${call.connection}/${call.streamId}`;
  const server = await rawServer({
    keepFrames: false,
    replenish: false,
    settings,
    onConnection: (peer) => void peer.send(windowUpdate(0, CONNECTION_WINDOW)),
    onHeaders(call) {
      if (call.fields.get(':path') === CANARY_PATH) return;
      calls += 1;
      open.add(keyOf(call));
      mostOpen = Math.max(mostOpen, open.size);
    },
    onRequest(call) {
      const path = call.fields.get(':path');
      if (path === Path.hold) return;
      open.delete(keyOf(call));
      if (path !== Path.large) return answer(call);
      call.peer.queue(call.streamId, headersFrame(call));
      call.peer.queueShared(call.streamId, large);
      call.peer.queue(call.streamId, trailersFrame(call));
    },
    onFrame(peer, frame) {
      const connection = server.peers.indexOf(peer) + 1;
      if (frame.type === FrameType.data && frame.payload.length > 0) {
        bytes += frame.payload.length;
        // What a good server does: the connection's credit comes back at once, a stream's when it is read, here never.
        peer.send(windowUpdate(0, frame.payload.length));
      }
      if (frame.type !== FrameType.rstStream) return;
      if (open.delete(keyOf({ connection, streamId: frame.streamId }))) resets += 1;
    },
  });
  return {
    address: server.address,
    stats: (): UpstreamStats => ({ calls, resets, open: open.size, mostOpen, bytes }),
    drop: () => {
      for (const peer of server.peers) peer.close();
    },
    reset: () => {
      calls = 0;
      resets = 0;
      bytes = 0;
      mostOpen = open.size;
    },
  };
}

class Canary {
  readonly #latencies: number[] = [];
  readonly #pending = new Set<Promise<void>>();
  #failed = 0;
  #why = '';
  #connections = 0;
  #session: http2.ClientHttp2Session | undefined;
  readonly #timer: NodeJS.Timeout;
  /** The first call has ended, so that the canary is connected, or has failed to. */
  readonly connected = this.#begin();

  constructor(
    private readonly target: CanaryTarget,
    everyMs: number,
  ) {
    this.#timer = setInterval(() => void this.#begin(), everyMs);
  }

  #begin(): Promise<void> {
    const call = this.#call().finally(() => this.#pending.delete(call));
    this.#pending.add(call);
    return call;
  }

  async stop(leastCalls: number) {
    const untilMs = performance.now() + LEAST_CALLS_WAIT_MS;
    while (this.#latencies.length + this.#failed < leastCalls && performance.now() < untilMs)
      await new Promise((resolve) => setTimeout(resolve, 20));
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    this.#session?.destroy();
    const sorted = this.#latencies.sort((a, b) => a - b);
    const at = (ratio: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? 0;
    return {
      calls: sorted.length + this.#failed,
      failed: this.#failed,
      why: this.#why,
      connections: this.#connections,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: sorted.at(-1) ?? 0,
    };
  }

  /** A lost connection is replaced, and shows in `connections`. */
  #connected(): http2.ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.destroyed && !this.#session.closed)
      return this.#session;
    const { address, tls } = this.target;
    if (address.kind !== 'tcp') throw new Error('the canary calls over TCP');
    const where = `${address.host}:${address.port}`;
    const secure = { ...tls, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
    this.#session = http2.connect(`${tls === undefined ? 'http' : 'https'}://${where}`, secure);
    this.#session.on('error', () => {});
    this.#connections += 1;
    return this.#session;
  }

  #call(): Promise<void> {
    const startedMs = performance.now();
    return new Promise((resolve) => {
      const fields = { te: 'trailers', 'content-type': 'application/grpc' };
      const stream = this.#connected().request({ ':method': 'POST', ':path': CANARY_PATH, ...fields });
      const timer = setTimeout(() => stream.destroy(new Error('took over two seconds')), CALL_LIMIT_MS);
      let status: string | undefined;
      let why = 'ended without a status';
      for (const list of ['response', 'trailers'])
        stream.on(list, (fields: http2.IncomingHttpHeaders) => {
          status = fields['grpc-status'] as string | undefined;
        });
      stream.on('error', (error) => {
        why = error.message;
      });
      stream.on('close', () => {
        clearTimeout(timer);
        if (status === '0') this.#latencies.push(performance.now() - startedMs);
        else {
          this.#failed += 1;
          this.#why ||= status === undefined ? why : `status ${status}`;
        }
        resolve();
      });
      stream.resume();
      stream.end(Buffer.alloc(5));
    });
  }
}

async function main(port: MessagePort): Promise<void> {
  const upstream = await startUpstream(workerData as UpstreamWorkerOptions);
  let canaries: readonly Canary[] = [];
  const answerTo = async (request: Request): Promise<Reply> => {
    switch (request.kind) {
      case 'start canaries':
        canaries = request.targets.map((target) => new Canary(target, request.everyMs));
        await Promise.all(canaries.map(({ connected }) => connected));
        return null;
      case 'stop canaries': {
        const reports = await Promise.all(canaries.map((canary) => canary.stop(request.leastCalls)));
        canaries = [];
        return reports;
      }
      case 'drop':
        upstream.drop();
        return null;
      case 'reset stats':
        upstream.reset();
        return null;
      case 'stats':
        return upstream.stats();
    }
  };
  port.on('message', async (request: Request) => port.postMessage(await answerTo(request)));
  port.postMessage(upstream.address);
}

if (parentPort !== null) await main(parentPort);
