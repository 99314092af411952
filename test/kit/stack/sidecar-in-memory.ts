/** A sidecar as `startSidecar` builds it, on real sockets and a manual clock, with scripted peers on both sides. */
import assert from 'node:assert/strict';
import net from 'node:net';
import type { Deps } from '../../../sidecar/app/context.js';
import type { RunningSidecar } from '../../../sidecar/app/running-sidecar.js';
import { startSidecar } from '../../../sidecar/app/sidecar.js';
import { parseSidecarFile } from '../../../sidecar/config/file/parse.js';
import type { Address, SidecarConfig, UpstreamConfig } from '../../../sidecar/config/model.js';
import { ManualClock } from '../time/manual-clock.js';
import { seeded } from '../time/seeded-random.js';
import { silentLogger } from './silent-logger.js';
import { Application, anUpstream, Backend, type UpstreamOptions } from './stack.js';

export const ANY: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };

const upstreams = { digits: { listen: '127.0.0.1:0', tls: 'plaintext', endpoints: ['127.0.0.1:1'] } };
const parsed = parseSidecarFile(JSON.stringify({ service: 'app', outbound: { upstreams } }), 'app.yaml');
assert.ok(parsed.ok);
const DEFAULT_LIMITS = parsed.config.limits;

const NAMES = { service: 'digits', instance: 'digits-1', trustDomain: 'outrider.local', datacenter: 'dc1' };

export function aConfig(over: Partial<SidecarConfig> = {}): SidecarConfig {
  return {
    ...NAMES,
    identity: { kind: 'none' },
    limits: { ...DEFAULT_LIMITS, handshakesPerSecond: 500, memoryBudgetBytes: 256 * 1024 * 1024 },
    drainTimeoutMs: 30_000,
    log: { level: 'error' },
    ...over,
  };
}

/** Turns of the event loop until `what` is so; the clock stands still meanwhile. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!isSo()) {
    if (performance.now() > endMs) assert.fail(`never: ${what}`);
    await new Promise(setImmediate);
  }
}

/** Resolves with the call once it is over. */
export async function answered<T extends { readonly isOver: boolean }>(call: T): Promise<T> {
  await until('an answer', () => call.isOver);
  return call;
}

/** An upstream that is one server, without TLS. */
export function upstreamAt(address: Address, name: string, over: UpstreamOptions = {}): UpstreamConfig {
  const base = anUpstream([], { name, tls: 'plaintext', listen: ANY, ...over });
  return { ...base, endpoints: [{ address, weight: 1, id: name }] };
}

/** A sidecar beside a caller of these. */
export function withUpstreams(...upstreams: readonly UpstreamConfig[]): SidecarConfig {
  return aConfig({ outbound: { upstreams } });
}

/** What a test opened; everything is closed with it. */
export class SidecarInMemory {
  readonly clock = new ManualClock();
  private readonly sidecars: RunningSidecar[] = [];
  private readonly servers: net.Server[] = [];
  private readonly sockets = new Set<net.Socket>();

  async sidecar(config: SidecarConfig, over: Partial<Deps> = {}): Promise<RunningSidecar> {
    const { clock } = this;
    const own = { clock, timers: clock, random: seeded(1), logger: silentLogger, version: '0', env: {} };
    const sidecar = await startSidecar(config, { ...own, ...over });
    this.sidecars.push(sidecar);
    return sidecar;
  }

  /** A scripted server on a port of its own. */
  async server(name: string): Promise<{ backend: Backend; address: Address; server: net.Server }> {
    const backend = new Backend(name);
    backend.answer = (stream) => stream.reply(Buffer.from(name));
    const { server, address } = await this.listen((socket) => backend.onSocket(this.keep(socket) as never));
    return { backend, server, address };
  }

  async app(address: Address): Promise<Application> {
    assert.equal(address.kind, 'tcp');
    const { host, port } = address as { host: string; port: number };
    const socket = this.keep(net.connect({ host, port }));
    const app = new Application(socket as never);
    await new Promise((resolve) => socket.once('connect', resolve));
    return app;
  }

  /** An address that is taken. */
  async taken(): Promise<Address> {
    return (await this.listen()).address;
  }

  private async listen(onSocket?: (socket: net.Socket) => void) {
    const server = net.createServer(onSocket);
    this.servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { address: host, port } = server.address() as net.AddressInfo;
    const address: Address = { kind: 'tcp', host, port };
    return { server, address };
  }

  private keep(socket: net.Socket): net.Socket {
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
    return socket;
  }

  async close(): Promise<void> {
    for (const sidecar of this.sidecars) await sidecar.stop();
    for (const socket of this.sockets) socket.destroy();
    for (const server of this.servers) await new Promise((resolve) => server.close(resolve));
  }
}
