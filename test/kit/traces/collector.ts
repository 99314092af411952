/** A collector as a process (otlp_receiver.py): what it was sent, by another implementation of OTLP. */
import { Program } from '../interop/programs.js';
import { httpAsk } from '../process/http-ask.js';
import { until } from '../process/processes.js';
import { testFile } from '../process/tools.js';

/** A span as the collector wrote it down. */
export interface CollectedSpan {
  readonly protocol: 'http' | 'grpc';
  readonly headers: Readonly<Record<string, string | null>>;
  readonly resource: Readonly<Record<string, string>>;
  readonly scope: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly status: number;
  readonly message: string;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** A metric as the collector has it. */
export interface CollectedMetric {
  readonly name: string;
  readonly description: string;
  readonly kind: 'gauge' | 'sum' | 'histogram';
  /** `prometheus.type` of its metadata. */
  readonly type: string;
  /** 2: cumulative; 0 of a gauge. */
  readonly temporality: number;
  readonly isMonotonic: boolean;
  readonly points: readonly {
    readonly attributes: Readonly<Record<string, string>>;
    readonly startMs: number;
    readonly timeMs: number;
    /** Of a gauge or sum; the others of a histogram. */
    readonly value?: number;
    readonly count?: number;
    readonly sum?: number | null;
    readonly buckets?: readonly number[];
    readonly bounds?: readonly number[];
  }[];
}

/** The newest export of an instance. */
export interface CollectedExport {
  /** Exports of the instance so far. */
  readonly number: number;
  readonly protocol: 'http' | 'grpc';
  readonly headers: Readonly<Record<string, string | null>>;
  readonly resource: Readonly<Record<string, string>>;
  readonly scopes: readonly string[];
  readonly metrics: readonly CollectedMetric[];
}

interface Ports {
  readonly http: number;
  readonly grpc: number;
}

/** It can be killed, and started again at the same ports. */
export class Collector {
  private constructor(
    private readonly python: string,
    private program: Program,
    readonly ports: Ports,
  ) {}

  /** @param python of the environment `otlp` of tools.ts. */
  static async start(python: string): Promise<Collector> {
    const program = await launch(python, []);
    return new Collector(python, program, JSON.parse(linesOf(program)[0]!) as Ports);
  }

  /** All spans since its last start, or the latest ones, where they are more than a program's output keeps. */
  get spans(): CollectedSpan[] {
    return linesOf(this.program)
      .filter((line) => line.startsWith('{"protocol"'))
      .map((line) => JSON.parse(line) as CollectedSpan);
  }

  /** Waits until spans are there of which the test finds what it looks for. */
  async find<T>(
    what: string,
    look: (spans: readonly CollectedSpan[]) => T,
  ): Promise<NonNullable<Exclude<T, false>>> {
    return until(what, () => look(this.spans), 20_000);
  }

  /** The newest export of metrics of each instance. */
  async exports(): Promise<Readonly<Record<string, CollectedExport>>> {
    const { text } = await httpAsk(
      { kind: 'tcp', host: '127.0.0.1', port: this.ports.http },
      { path: '/metrics' },
    );
    return JSON.parse(text);
  }

  async kill(): Promise<void> {
    await this.program.stop();
  }

  async restart(): Promise<void> {
    await this.kill();
    const { http, grpc } = this.ports;
    // Spans that waited for it come at once, and its first line may be gone already.
    this.program = await launch(this.python, [String(http), String(grpc)]);
  }
}

async function launch(python: string, args: readonly string[]): Promise<Program> {
  const program = new Program('collector', [python, testFile('kit', 'traces', 'otlp_receiver.py'), ...args]);
  await program.started('it listens', () => linesOf(program).length > 0);
  return program;
}

/** Whole lines only. */
function linesOf({ output }: Program): string[] {
  return output.split('\n').slice(0, -1);
}
