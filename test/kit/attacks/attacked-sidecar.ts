/**
 * A real sidecar under attack, a client that behaves beside it, and the three assertions every attack test makes: the attacker
 * is cut off or bounded, other clients are unharmed, and the right counter counts exactly.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import { ErrorCode, errorCodeOf, FrameType } from '../http2/h2-frames.js';
import { type RawClientOptions, rawClient, type TlsMaterial, unaryRequest } from '../http2/raw-client.js';
import type { RawPeer, Received } from '../http2/raw-peer.js';
import { coreTimeOf } from '../process/processes.js';
import { SidecarBench, type SidecarProcess } from '../process/sidecars.js';
import {
  type CanaryReport,
  Path,
  type Reply,
  type Request,
  type UpstreamStats,
  type UpstreamWorkerOptions,
} from './upstream-worker.js';

/** `outbound`: cleartext, from the local application. `inbound`: mutual TLS, from peers. */
export type Side = 'outbound' | 'inbound';
type Attack = () => Promise<void>;
export const SIDES: readonly Side[] = ['outbound', 'inbound'];

/**
 * The machine's two cores also run the attacker, the upstream and whatever else; so the canary is compared with a second
 * one that calls a sidecar that is not attacked, at the same moments. An attack may cost this much more at p99, which with some
 * fifty calls is the slowest one.
 */
const CANARY_P99_MS = 200;
/** How much of the control's own p99 is taken for noise. */
const NOISE = 3;
/**
 * By how much longer a sidecar takes for its work because the attacker, the upstream and the control want a core too. On a
 * machine with other work it is more, and so is what an attack costs.
 */
const OWN_SLOWDOWN = 1.5;
const CANARY_EVERY_MS = 5;
const LEAST_CANARY_MS = 250;
const LEAST_CANARY_CALLS = 10;
/** How long a flood lasts at most, ms. */
const FLOOD_LIMIT_MS = 5_000;
const LIVE_MEMORY = new URL('./live-memory.js', import.meta.url).href;
/** How soon a peer that breaks a rule is disconnected, ms. */
const DISCONNECT_LIMIT_MS = 3_000;

export interface AttackedSidecarOptions {
  readonly limits?: Readonly<Record<string, unknown>>;
  /** Calls that one connection to the upstream may have open. */
  readonly streams?: number;
  /** Bytes of each request that the upstream takes. Default 65,535. */
  readonly streamWindow?: number;
  /** Of the sidecar's inbound queue. */
  readonly concurrency?: number;
  /** Files that the sidecar may have open. */
  readonly descriptors?: number;
}

export class AttackedSidecar {
  sidecar!: SidecarProcess;
  private bench!: SidecarBench;
  private worker!: Worker;
  /** Not attacked: the canary's calls are compared with calls through this one. */
  private control!: SidecarProcess;
  private tls!: TlsMaterial;
  private readonly attackers: RawPeer[] = [];

  private constructor(private readonly options: AttackedSidecarOptions) {}

  /** One sidecar with both listeners; requests to either go to the upstream of the worker. */
  static async open(options: AttackedSidecarOptions = {}): Promise<AttackedSidecar> {
    const target = new AttackedSidecar(options);
    await target.start();
    return target;
  }

  /** One for the tests of the describe block around it; attackers are disconnected after each test. */
  static forSuite(options: AttackedSidecarOptions = {}): AttackedSidecar {
    const target = new AttackedSidecar(options);
    before(() => target.start());
    afterEach(() => target.disconnectAttackers());
    after(() => target.close());
    return target;
  }

  private async start(): Promise<void> {
    const { limits, concurrency, streams, streamWindow, descriptors } = this.options;
    this.worker = new Worker(new URL('./upstream-worker.js', import.meta.url), {
      workerData: { streams, streamWindow } satisfies UpstreamWorkerOptions,
    });
    // What a worker says while nothing listens is lost, and it may be quicker than what comes next.
    const listening = reply(this.worker);
    this.bench = await SidecarBench.open();
    try {
      const upstream = writeAddress((await listening) as Address);
      const file = {
        service: 'target',
        identity: await this.bench.identity('target'),
        limits: limits ?? {},
        inbound: {
          // Its question would count among the calls that reach the upstream.
          reflection: false,
          listen: '127.0.0.1:0',
          local: upstream,
          default_intention: 'allow',
          // Wide open: these tests are about connections, and calls that never end would fill any queue.
          queue: { concurrency: concurrency ?? 4096 },
        },
        outbound: {
          upstreams: { upstream: { listen: '127.0.0.1:0', tls: 'plaintext', endpoints: [upstream] } },
        },
      };
      const env = { NODE_OPTIONS: `--import ${LIVE_MEMORY}`, OUTRIDER_LIVE_MEMORY: this.#livePort };
      this.sidecar = await this.bench.start('target', file, env, descriptors);
      this.control = await this.bench.start('control', file);
      this.tls = await this.bench.material('attacker');
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  address(side: Side, of: SidecarProcess = this.sidecar): Address {
    return of.address(side === 'inbound' ? 'inbound' : 'upstream upstream');
  }

  /** A connection for the attacker. */
  async attacker(side: Side, options: RawClientOptions = {}): Promise<RawPeer> {
    const tls = side === 'inbound' ? { tls: this.tls } : {};
    const peer = await rawClient(this.address(side), { ...tls, ...options });
    this.attackers.push(peer);
    return peer;
  }

  /** Another identity for attackers, whose leaf expires after `lifetimeMs`, whole seconds. */
  material(service: string, lifetimeMs: number): Promise<TlsMaterial> {
    return this.bench.material(service, ['h2'], lifetimeMs);
  }

  /** Hangs up on behalf of every attacker, so that the next test starts without them. */
  async disconnectAttackers(): Promise<void> {
    const peers = this.attackers.splice(0);
    for (const peer of peers) peer.close();
    await Promise.all(peers.map((peer) => peer.closed));
  }

  /** The upstream closes all connections; calls in flight are lost. */
  async dropUpstream(): Promise<void> {
    await this.#ask({ kind: 'drop' });
  }

  stats(): Promise<UpstreamStats> {
    return this.#ask<UpstreamStats>({ kind: 'stats' });
  }

  /** Resident memory of the sidecar, bytes. */
  rssBytes(): number {
    const status = readFileSync(`/proc/${this.sidecar.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  /** What the sidecar holds once it has collected what it no longer needs, bytes: heap, and buffers outside of it. */
  async liveBytes(): Promise<number> {
    const socket = connect(Number(readFileSync(this.#livePort, 'utf8')), '127.0.0.1');
    let text = '';
    for await (const part of socket) text += String(part);
    return Number(text);
  }

  get #livePort(): string {
    return path.join(this.bench.directory, 'live-memory.port');
  }

  /** CPU time the sidecar has used, ms. */
  cpuMs(): number {
    const fields = readFileSync(`/proc/${this.sidecar.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /**
   * Runs an attack beside a canary that is connected to the same listener before the attack begins. Fails when one of the canary's
   * calls failed, its connection was lost, its p99 was `allowedMs` above the control's (more where the machine gave the sidecar
   * less than a core when it wanted one), or the sidecar died.
   */
  async underAttack(side: Side, attack: Attack, allowedMs = CANARY_P99_MS): Promise<CanaryReport> {
    const before = coreTimeOf(this.sidecar.pid);
    const [canary, control] = await this.measureDuring(side, attack);
    assert.ok(this.sidecar.isRunning, `the sidecar died:\n${this.sidecar.output}`);
    assert.equal(canary.failed, 0, `canary: ${canary.failed} of ${canary.calls} failed: ${canary.why}`);
    assert.equal(canary.connections, 1, 'the canary lost its connection');
    assert.ok(canary.calls >= LEAST_CANARY_CALLS, `the canary made only ${canary.calls} calls`);
    const after = coreTimeOf(this.sidecar.pid);
    const slowdown = 1 + (after.waitedNs - before.waitedNs) / (after.ranNs - before.ranNs);
    const boundMs = allowedMs * Math.max(1, slowdown / OWN_SLOWDOWN) + NOISE * control.p99Ms;
    const [found, usual] = [canary, control].map(({ p99Ms }) => `${p99Ms.toFixed(1)} ms`);
    const where = `work took ${slowdown.toFixed(1)} times as long as it needs a core`;
    assert.ok(canary.p99Ms < boundMs, `canary p99 ${found}, beside ${usual} without an attack; ${where}`);
    return canary;
  }

  /** As `underAttack`, and judges nothing: what the canary and the control found. */
  async measureDuring(side: Side, attack: Attack): Promise<readonly [CanaryReport, CanaryReport]> {
    await this.#ask({ kind: 'reset stats' });
    const tls = side === 'inbound' ? this.tls : undefined;
    const targets = [this.sidecar, this.control].map((of) => ({ address: this.address(side, of), tls }));
    await this.#ask({ kind: 'start canaries', targets, everyMs: CANARY_EVERY_MS });
    const startedMs = performance.now();
    let reports: readonly CanaryReport[] = [];
    try {
      await attack();
      const restMs = LEAST_CANARY_MS - (performance.now() - startedMs);
      if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    } finally {
      reports = await this.#ask<typeof reports>({ kind: 'stop canaries', leastCalls: LEAST_CANARY_CALLS });
    }
    return reports as [CanaryReport, CanaryReport];
  }

  /** Runs `body` and returns by how much each limit's counter rose; limits that did not count are left out. */
  async hitsDuring(body: Attack): Promise<Record<string, number>> {
    const before = await this.#hits();
    await body();
    const after = await this.#hits();
    const rose: Record<string, number> = {};
    for (const [limit, value] of after) {
      const by = value - (before.get(limit) ?? 0);
      if (by !== 0) rose[limit] = by;
    }
    return rose;
  }

  /** `hitsDuring` and `underAttack` in one. */
  hitsUnderAttack(side: Side, attack: Attack): Promise<Record<string, number>> {
    return this.hitsDuring(async () => void (await this.underAttack(side, attack)));
  }

  async close(): Promise<void> {
    await this.bench?.close();
    await this.worker?.terminate();
  }

  async #hits(): Promise<Map<string, number>> {
    const { text } = await this.sidecar.page('/metrics');
    const hits = new Map<string, number>();
    const samples = text.matchAll(/^outrider_limit_hits_total\{.*?limit="([^"]+)".*?\} (\S+)/gm);
    for (const [, limit = '', value] of samples) hits.set(limit, (hits.get(limit) ?? 0) + Number(value));
    return hits;
  }

  async #ask<T = null>(request: Request): Promise<T> {
    const answered = reply(this.worker);
    this.worker.postMessage(request);
    return (await answered) as T;
  }
}

/** What the worker says next; fails when it fails. */
async function reply(worker: Worker): Promise<Reply> {
  const [message] = await once(worker, 'message');
  return message as Reply;
}

/** Sends `one` up to `times`, a few hundred per write, as fast as the peer reads and until it hangs up. Returns how many. */
export async function flood(peer: RawPeer, one: Buffer, times: number): Promise<number> {
  const perWrite = Math.max(1, Math.min(500, Math.floor(65_536 / one.length), times));
  const block = Buffer.concat(Array.from({ length: perWrite }, () => one));
  const endMs = performance.now() + FLOOD_LIMIT_MS;
  let sent = 0;
  while (sent < times && performance.now() < endMs) {
    if (!(await peer.sendAll(block))) break;
    sent += perWrite;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return sent;
}

/** The connection ends within `limitMs`, and with ENHANCE_YOUR_CALM (or one of `codes`) if the peer still heard why. */
export async function assertDisconnected(
  peer: RawPeer,
  codes: readonly number[] = [ErrorCode.enhanceYourCalm],
): Promise<void> {
  assert.ok(
    await peer.closesWithin(DISCONNECT_LIMIT_MS),
    `the attacker is still connected; got ${peer.describe()}`,
  );
  const goaway = peer.frames.findLast((frame) => frame.type === FrameType.goaway);
  if (goaway === undefined) return;
  assert.ok(codes.includes(errorCodeOf(goaway)), `GOAWAY with code ${errorCodeOf(goaway)}`);
}

/** How many resets with `code` arrived. */
export function resetsWith(peer: RawPeer, code: number): number {
  const resets = peer.frames.filter((frame) => frame.type === FrameType.rstStream);
  return resets.filter((frame) => errorCodeOf(frame) === code).length;
}

/** A call on this stream is answered with OK. */
export async function assertServes(peer: RawPeer, streamId: number): Promise<void> {
  peer.send(unaryRequest(streamId, Path.quick));
  const isServed = (one: Received) => one.streamId === streamId && one.fields?.get('grpc-status') === '0';
  await peer.waitFor('an answer', isServed);
}
