/** One simulated agent with its servers and nothing else: what it answers to single requests. */
import { ManualClock } from '../../../kit/time/manual-clock.js';
import { Dice } from '../../dice.js';
import { CALM, SimNet, type SimSocket } from '../sim-net.js';
import { SimProcess } from '../sim-process.js';
import { ConsulAgent } from './agent.js';
import { ConsulServers } from './servers.js';

const ADDRESS = '10.9.0.1';
/** A request that is not answered within this is never answered, ms. */
const LIMIT_MS = 700_000;

export interface PlainAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Until the answer, ms. */
  readonly tookMs: number;
}

export class LoneAgent {
  readonly clock = new ManualClock();
  readonly servers = new ConsulServers(this.clock, () => {});
  readonly agent: ConsulAgent;
  private readonly net: SimNet;
  private readonly client: SimProcess;
  private dirty: SimProcess[] = [];

  /** @param node name of its machine. */
  constructor(node: string) {
    const dice = new Dice(1, 'lone agent');
    this.net = new SimNet(this.clock, dice.of('net'), () => CALM);
    const surroundings = () => ({
      clock: this.clock,
      net: this.net,
      dirty: this.dirty,
      onCrash: (_process: SimProcess, error: unknown) => {
        throw error;
      },
    });
    this.agent = new ConsulAgent(node, ADDRESS, this.servers, surroundings(), dice.of('agent'));
    this.client = new SimProcess('client', 'client', surroundings(), dice.of('client'));
    this.pass(5_000);
  }

  /** So much time passes. */
  pass(ms: number): void {
    const untilMs = this.clock.now() + ms;
    this.run(() => this.clock.now() >= untilMs, untilMs);
  }

  private run(isDone: () => boolean, untilMs: number): void {
    for (;;) {
      while (this.net.turn() || this.dirty.length > 0)
        for (const process of this.dirty.splice(0)) process.endTurn();
      if (isDone()) return;
      if (!this.clock.step(untilMs)) {
        this.clock.advance(Math.max(0, untilMs - this.clock.now()));
        return;
      }
    }
  }

  /** Sends a request on a connection of its own. `path` from /v1 on. */
  ask(method: string, path: string, body?: unknown): { answer(): PlainAnswer } {
    const sentMs = this.clock.now();
    let tookMs = -1;
    const { agent, client, net } = this;
    const socket: SimSocket = net.dial(
      { kind: 'tcp', host: ADDRESS, port: Number(agent.where.split(':')[1]) },
      client,
      null,
      Number.POSITIVE_INFINITY,
    );
    let read = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      read = Buffer.concat([read, bytes]);
      if (tookMs < 0 && isWhole(read)) tookMs = this.clock.now() - sentMs;
    });
    socket.on('error', () => {});
    const content = body === undefined ? '' : JSON.stringify(body);
    const head = `${method} /v1${path} HTTP/1.1\r\nHost: consul\r\nContent-Length: ${Buffer.byteLength(content)}\r\n\r\n`;
    socket.on('connect', () => socket.write(Buffer.from(head + content)));
    return {
      answer: () => {
        this.run(() => tookMs >= 0, sentMs + LIMIT_MS);
        socket.destroy();
        return { ...parse(read), tookMs };
      },
    };
  }
}

function isWhole(bytes: Buffer): boolean {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const head = bytes.toString('latin1', 0, end);
  if (/transfer-encoding: chunked/i.test(head)) return bytes.includes('\r\n0\r\n\r\n', end + 2);
  return bytes.length >= end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
}

function parse(bytes: Buffer): Omit<PlainAnswer, 'tookMs'> {
  const end = bytes.indexOf('\r\n\r\n');
  const [first = '', ...lines] = bytes.toString('latin1', 0, Math.max(0, end)).split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
    }),
  );
  const rest = bytes.subarray(end + 4);
  const body = headers.get('transfer-encoding') === 'chunked' ? unchunked(rest) : rest;
  return { status: Number(first.split(' ')[1] ?? 0), headers, body: body.toString('utf8') };
}

function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
