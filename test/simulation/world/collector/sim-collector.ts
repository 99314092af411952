/** A collector of metrics and traces in the simulated world: OTLP over gRPC and over HTTP/1.1, and what goes wrong with it. */
import type { Dice } from '../../dice.js';
import { COLLECTOR, type FaultPlan } from '../../plan/plan.js';
import { HttpConnection } from '../consul/http.js';
import { prefixOf } from '../content.js';
import { SimServer, type SimSocket } from '../sim-net.js';
import { PLAIN, SimPeer, type SimStream } from '../sim-peer.js';
import { SimProcess } from '../sim-process.js';
import { type Export, partialSuccess, readExport } from './otlp.js';

type Surroundings = ConstructorParameters<typeof SimProcess>[2];
type Signal = 'metrics' | 'traces';

/** A request that has come. Times of the clock, ms. */
export interface Received extends Export {
  readonly signal: Signal;
  readonly atMs: number;
  /** Points or spans that it was told to have brought; −1: it was not told that they were taken. */
  taken: number;
}

/** What the collector does with a request. */
interface Answer {
  readonly http: number;
  readonly grpc: number;
  readonly message: Buffer;
  readonly retryAfter: string;
  /** Of the points or spans. */
  readonly taken: number;
}

const NOTHING = Buffer.alloc(0);
/** How it refuses: what OTLP says of each status is to be tried again, or not. */
const REFUSALS = [
  { http: 400, grpc: 3, retryAfter: '' },
  { http: 429, grpc: 8, retryAfter: '' },
  { http: 503, grpc: 14, retryAfter: '7' },
  { http: 500, grpc: 13, retryAfter: '' },
];
/** Longer than any answer that is read. */
const LONG_ANSWER = 100_000;

export class SimCollector {
  readonly received: Received[] = [];
  /** What is no message of OTLP. */
  readonly problems: string[] = [];
  process: SimProcess;
  /** Its faults of now. */
  private readonly faults = new Map<string, FaultPlan>();
  private starts = 0;

  constructor(
    private readonly world: Surroundings,
    private readonly dice: Dice,
  ) {
    for (const port of [COLLECTOR.grpc, COLLECTOR.http]) world.net.streams.add(`${COLLECTOR.host}:${port}`);
    this.process = this.start();
  }

  begin(fault: FaultPlan): void {
    this.faults.set(fault.kind, fault);
    if (fault.kind === 'collector-away') this.process.kill();
    if (fault.kind === 'collector-hangs') this.process.freeze();
  }

  end({ kind }: FaultPlan): void {
    this.faults.delete(kind);
    if (kind === 'collector-away' && this.process.isDead) this.process = this.start();
    if (kind === 'collector-hangs') this.process.thaw();
  }

  private start(): SimProcess {
    const { world } = this;
    const process = new SimProcess('collector', 'collector', world, this.dice.of(++this.starts));
    const grpc = new SimServer(world.net, process, (socket) => {
      const peer = new SimPeer(socket as unknown as SimSocket, 'server', PLAIN, this.dice.of('peer'));
      peer.onStream = (stream, fields) => {
        const path = fields.find(([name]) => name === ':path')?.[1] ?? '';
        this.onStream(stream, path.includes('metrics') ? 'metrics' : 'traces');
      };
    });
    grpc.listen({ host: COLLECTOR.host, port: COLLECTOR.grpc });
    const http = new SimServer(world.net, process, (socket) => {
      new HttpConnection(
        socket as unknown as SimSocket,
        ({ path, content }, connection) =>
          this.take(path.includes('metrics') ? 'metrics' : 'traces', content, (answer) => {
            const headers = answer.retryAfter === '' ? {} : { 'Retry-After': answer.retryAfter };
            connection.answer({ status: answer.http, headers, body: '', content: answer.message });
          }),
        () => {},
      );
    });
    http.listen({ host: COLLECTOR.host, port: COLLECTOR.http });
    return process;
  }

  private onStream(stream: SimStream, signal: Signal): void {
    const parts: Buffer[] = [];
    stream.owner = {
      onHeaders: () => {},
      onReset: () => {},
      onData: (bytes, ended) => {
        parts.push(bytes);
        stream.credit(bytes.length);
        if (ended)
          this.take(signal, Buffer.concat(parts).subarray(5), ({ grpc, message }) => {
            const status = ['grpc-status', `${grpc}`] as const;
            const headers = [[':status', '200'] as const, ['content-type', 'application/grpc'] as const];
            if (grpc !== 0) return stream.headers([...headers, status], true);
            stream.headers(headers);
            stream.data(Buffer.concat([prefixOf(message.length), message]));
            stream.headers([status], true);
          });
      },
    };
  }

  private take(signal: Signal, request: Buffer, send: (answer: Answer) => void): void {
    const { process } = this;
    let found: Export = { instance: '', points: [], spans: [] };
    try {
      found = readExport(signal, request);
    } catch (error) {
      this.problems.push(`${signal} of ${request.length} bytes: ${(error as Error).message}`);
    }
    const received: Received = { ...found, signal, atMs: process.now(), taken: -1 };
    this.received.push(received);
    const answer = this.answerTo(found.points.length + found.spans.length);
    const slow = this.faults.get('collector-slow');
    const finish = (): void => {
      if (answer.http === 200) received.taken = answer.taken;
      send(answer);
    };
    if (slow === undefined) finish();
    else process.after(slow.amount, finish);
  }

  private answerTo(count: number): Answer {
    const refuses = this.faults.get('collector-refuses');
    if (refuses !== undefined)
      return { ...REFUSALS[refuses.amount % REFUSALS.length]!, message: NOTHING, taken: 0 };
    const well = { http: 200, grpc: 0, retryAfter: '' };
    const partial = this.faults.get('collector-partial');
    if (partial !== undefined) {
      const rejected = Math.min(count, partial.amount);
      return { ...well, message: partialSuccess(rejected, 'too much'), taken: count - rejected };
    }
    const lies = this.faults.get('collector-lies');
    if (lies === undefined) return { ...well, message: NOTHING, taken: count };
    // No message, one that is too long, or more points than there are.
    const message = [
      Buffer.from([0x0b, 0xff, 0xff]),
      Buffer.alloc(LONG_ANSWER, 1),
      partialSuccess(2 ** 40, 'all and more'),
    ];
    return { ...well, message: message[lies.amount % message.length]!, taken: -1 };
  }
}
