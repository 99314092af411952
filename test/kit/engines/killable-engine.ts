/** A fake engine on real sockets in the process of the test, which can be killed at any byte of its answers, and is back at once. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { EngineCore } from '../../../services/engine/engine-core.js';
import { type RunningEngine, startEngine } from '../../../services/engine/server.js';

/**
 * `closed` and `reset`: as the kernel ends the sockets of a killed process. `core`: calls end with INTERNAL, as behind a front of vLLM.
 * `stopped`: answers end with `abort` under the status OK, and a little later connections, as those of a vLLM that is told to stop.
 */
export type Death = 'closed' | 'reset' | 'core' | 'stopped';

/** One that is told to stop ends its connections so long after its answers, ms. */
const ENDS_AFTER_MS = 20;

export interface KillableOptions {
  readonly random: () => number;
  /** Answers at once. */
  readonly slots?: number;
  /** Time between two steps, ms. */
  readonly stepMs?: number;
}

/** One connection of a client, and the one behind it to the gRPC server. */
interface Connection {
  readonly outer: Socket;
  readonly inner: Socket;
}

export class KillableEngine {
  kills = 0;
  private readonly connections = new Set<Connection>();
  /** Of the next kill: bytes of answers that still go out, and how it dies; null: none is due. */
  private due: { bytes: number; readonly death: Death } | null = null;
  private core: EngineCore;
  private front!: RunningEngine;
  private readonly timer: NodeJS.Timeout;

  private constructor(
    private readonly options: KillableOptions,
    private readonly listener: Server,
  ) {
    this.core = this.newCore();
    this.timer = setInterval(() => this.core.step(), options.stepMs ?? 1);
  }

  static async start(options: KillableOptions): Promise<KillableEngine> {
    const listener = createServer();
    const engine = new KillableEngine(options, listener);
    // What the server asks of its core goes to the one of now.
    const core = {
      add: (...args: Parameters<EngineCore['add']>) => engine.core.add(...args),
      abort: (ids: readonly string[]) => engine.core.abort(ids),
      get isDead() {
        return engine.core.isDead;
      },
      get counts() {
        return engine.core.counts;
      },
    } as EngineCore;
    engine.front = await startEngine(core, { listen: '127.0.0.1:0', warmupMs: 0 });
    listener.on('connection', (outer) => engine.join(outer, engine.front.port));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return engine;
  }

  /** `host:port` */
  get address(): string {
    return `127.0.0.1:${(this.listener.address() as AddressInfo).port}`;
  }

  get running(): number {
    return this.core.counts.running;
  }

  /** It dies once so many more bytes of answers have left it. */
  killAfter(bytes: number, death: Death): void {
    this.due ??= { bytes, death };
  }

  /** A kill that is due does not happen: too few bytes have left since. */
  spare(): void {
    this.due = null;
  }

  get isKillDue(): boolean {
    return this.due !== null;
  }

  close(): void {
    clearInterval(this.timer);
    this.listener.close();
    this.front.stop();
    for (const { outer, inner } of this.connections) {
      outer.destroy();
      inner.destroy();
    }
  }

  private newCore(): EngineCore {
    const { random, slots = 8 } = this.options;
    return new EngineCore({ slots, random, killer: undefined, crash: () => {} });
  }

  private join(outer: Socket, port: number): void {
    const inner = connect(port, '127.0.0.1');
    const connection = { outer, inner };
    this.connections.add(connection);
    const leave = (): void => {
      this.connections.delete(connection);
      outer.destroy();
      inner.destroy();
    };
    for (const socket of [outer, inner]) socket.on('error', leave).on('close', leave);
    outer.setNoDelay().pipe(inner.setNoDelay());
    inner.on('data', (chunk: Buffer) => this.passOn(connection, chunk));
    outer.on('drain', () => inner.resume());
  }

  private passOn({ outer, inner }: Connection, chunk: Buffer): void {
    const { due } = this;
    const isLast = due !== null && due.bytes <= chunk.length;
    const isCut = isLast && (due.death === 'closed' || due.death === 'reset');
    const passed = isCut ? chunk.subarray(0, due.bytes) : chunk;
    if (!outer.write(passed)) inner.pause();
    if (due === null) return;
    if (isLast) this.die(due.death);
    else due.bytes -= chunk.length;
  }

  private die(death: Death): void {
    this.due = null;
    this.kills++;
    const { core } = this;
    this.core = this.newCore();
    if (death === 'core') return core.die();
    if (death === 'stopped') {
      core.giveUp();
      // Without a connection that ends, an abort may be what somebody asked for.
      setTimeout(() => this.cut(death), ENDS_AFTER_MS).unref();
      return;
    }
    this.cut(death);
    core.isFrozen = true;
  }

  private cut(death: Death): void {
    const { connections } = this;
    for (const { outer, inner } of [...connections]) {
      inner.destroy();
      if (death === 'reset') outer.resetAndDestroy();
      else outer.destroySoon();
    }
  }
}
