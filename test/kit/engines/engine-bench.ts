/** Fake engines that can be killed, behind the sidecar of a caller, which is a process. */

import { seededChance } from '../../../services/seeded-chance.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { until } from '../process/processes.js';
import { SidecarBench, type SidecarProcess } from '../process/sidecars.js';
import { TestClient } from '../service/model-server.js';
import { KillableEngine, type KillableOptions } from './killable-engine.js';

export interface EngineBenchOptions extends Omit<KillableOptions, 'random'> {
  readonly engines: number;
  readonly seed?: number;
  /** More of the route of Generate. */
  readonly route?: Readonly<Record<string, unknown>>;
}

export class EngineBench {
  private constructor(
    readonly engines: readonly KillableEngine[],
    private readonly bench: SidecarBench,
    readonly sidecar: SidecarProcess,
    readonly client: TestClient,
  ) {}

  static async start({
    engines: count,
    seed = 1,
    route = {},
    ...options
  }: EngineBenchOptions): Promise<EngineBench> {
    const engines = await Promise.all(
      Array.from({ length: count }, (_, i) =>
        KillableEngine.start({ ...options, random: seededChance(seed + i) }),
      ),
    );
    const bench = await SidecarBench.open();
    try {
      const sidecar = await bench.start('app', fileFor(engines, {}, route));
      await sidecar.ready();
      const client = new TestClient(writeAddress(sidecar.address('upstream chat')));
      return new EngineBench(engines, bench, sidecar, client);
    } catch (error) {
      await bench.close();
      for (const engine of engines) engine.close();
      throw error;
    }
  }

  /** Where a client calls the engines, `host:port`. */
  get target(): string {
    return writeAddress(this.sidecar.address('upstream chat'));
  }

  /** Resolves once the sidecar has taken over a changed file: the same engines, and `more` at the upstream. */
  async reload(more: Readonly<Record<string, unknown>>): Promise<void> {
    const reloads = (): number => this.sidecar.output.split('configuration reloaded').length;
    const before = reloads();
    await this.bench.write('app', fileFor(this.engines, more));
    await until('the file is taken over', () => reloads() > before);
  }

  /** Answers that another engine went on with. */
  resumed(): Promise<number> {
    return this.sidecar.metric('outrider_streams_resumed_total');
  }

  get kills(): number {
    return this.engines.reduce((sum, { kills }) => sum + kills, 0);
  }

  async close(): Promise<void> {
    this.client.client.close();
    await this.bench.close();
    for (const engine of this.engines) engine.close();
  }
}

function fileFor(
  engines: readonly KillableEngine[],
  more: Readonly<Record<string, unknown>> = {},
  route: Readonly<Record<string, unknown>> = {},
) {
  const chat = {
    listen: '127.0.0.1:0',
    tls: 'plaintext',
    engine: 'vllm',
    endpoints: engines.map(({ address }) => address),
    // Engines are back at once here, and what is asked is what becomes of the answers.
    ejection: { mode: 'observe' },
    budget: { ratio: 1, per_second: 1_000 },
    routes: [
      {
        methods: ['/vllm.grpc.engine.VllmEngine/Generate'],
        kind: 'streaming',
        idempotent: true,
        retry: { attempts: 5, on: ['unavailable', 'internal'], backoff: { base: '5ms', max: '50ms' } },
        ...route,
      },
    ],
    ...more,
  };
  return { service: 'app', log: { level: 'info' }, outbound: { upstreams: { chat } } };
}
