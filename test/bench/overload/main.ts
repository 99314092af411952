/**
 * What a sidecar makes of more calls than its model can serve. The model's capacity is measured first, through the
 * sidecar; then five times as many calls come, and then few again. Load and model have core 0, the sidecar core 1.
 */

import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { BenchProcess } from '../bench-process.js';
import { LOAD_CORE, PROXY_CORE, pin } from '../subjects/subject.js';
import { figuresOf, type OverloadFigures } from './figures.js';
import { CLASS_KEY, type ModelCounts, type Phase, type PhaseCalls, UNARY } from './protocol.js';

/** The model: so many calls at once, each for so long. */
export const PLACES = 4;
export const SERVICE_MS = 20;
/** Times the capacity. */
export const OVERLOAD = 5;
/** Before and after: a share of the capacity that leaves room. */
const EASY = 0.5;

/** One configuration of the queue, and the calls it gets. */
export interface Setup {
  readonly name: string;
  readonly title: string;
  readonly queue: Readonly<Record<string, unknown>>;
  readonly deadlineMs: number;
  /** Every so many calls one is of the first class; 0: no classes. */
  readonly firstClassEvery: number;
}

export const SETUPS: readonly Setup[] = [
  {
    name: 'short-line',
    title: 'fixed concurrency, a short line',
    queue: { concurrency: PLACES, max_waiting: PLACES },
    deadlineMs: 1_000,
    firstClassEvery: 0,
  },
  {
    name: 'deadlines',
    title: 'fixed concurrency, a long line, deadlines of 400 ms',
    queue: { concurrency: PLACES },
    deadlineMs: 400,
    firstClassEvery: 0,
  },
  {
    name: 'adaptive',
    title: 'concurrency found by measuring, begun at 64',
    queue: { concurrency: 64, max_waiting: 16, adaptive: { min: 1, max: 200 } },
    deadlineMs: 1_000,
    firstClassEvery: 0,
  },
  {
    name: 'classes',
    title: 'two classes, one call in twenty of the first',
    queue: {
      concurrency: PLACES,
      max_waiting: 2 * PLACES,
      priority: { key: CLASS_KEY, classes: ['first', 'other'] },
    },
    deadlineMs: 1_000,
    firstClassEvery: 20,
  },
];

/** Lengths of the phases, ms. */
export interface Times {
  readonly warmMs: number;
  readonly capacityMs: number;
  readonly easyMs: number;
  readonly overloadMs: number;
  readonly afterMs: number;
}

export const FULL: Times = {
  ...{ warmMs: 3_000, capacityMs: 5_000, easyMs: 3_000, overloadMs: 15_000, afterMs: 6_000 },
};
export const QUICK: Times = {
  ...{ warmMs: 1_000, capacityMs: 1_500, easyMs: 1_000, overloadMs: 3_000, afterMs: 2_000 },
};

/** Measures one setup. `isPinned`: each side has a core of its own. */
export async function measureOverload(
  setup: Setup,
  times: Times,
  { isPinned }: { readonly isPinned: boolean },
): Promise<OverloadFigures> {
  const world = await OverloadBench.open(setup, { isPinned });
  try {
    await world.phase({ forMs: times.warmMs, inFlight: PLACES });
    const closed = await world.phase({ forMs: times.capacityMs, inFlight: 2 * PLACES });
    const perSecond = (closed.status.filter((status) => status === 0).length * 1_000) / times.capacityMs;
    const before = await world.phase({ forMs: times.easyMs, perSecond: EASY * perSecond });
    const from = await world.counts();
    const overload = await world.phase({ forMs: times.overloadMs, perSecond: OVERLOAD * perSecond });
    const to = await world.counts();
    const concurrency = await world.sidecar.metric('outrider_queue_concurrency');
    const after = await world.phase({ forMs: times.afterMs, perSecond: EASY * perSecond });
    const runs = { runs: to.runs - from.runs, unanswered: to.unanswered - from.unanswered };
    const { overloadMs } = times;
    return figuresOf(setup, { perSecond, before, overload, overloadMs, after, runs, concurrency });
  } finally {
    await world.close();
  }
}

class OverloadBench {
  private seed = 1;

  private constructor(
    private readonly setup: Setup,
    private readonly bench: SidecarBench,
    private readonly model: BenchProcess<'counts', number>,
    private readonly load: BenchProcess<Phase>,
    readonly sidecar: SidecarProcess,
  ) {}

  static async open(setup: Setup, { isPinned }: { readonly isPinned: boolean }): Promise<OverloadBench> {
    const bench = await SidecarBench.open();
    const children: BenchProcess<never, unknown>[] = [];
    try {
      const args = [String(PLACES), String(SERVICE_MS)];
      const model = await BenchProcess.start<'counts', number>(new URL('model.js', import.meta.url), {
        args,
      });
      children.push(model);
      const load = await BenchProcess.start<Phase>(new URL('load.js', import.meta.url));
      children.push(load);
      const sidecar = await bench.start('model', {
        service: 'model',
        inbound: {
          listen: '127.0.0.1:0',
          mtls: 'off',
          default_intention: 'allow',
          local: `127.0.0.1:${model.ready}`,
          queue: setup.queue,
          routes: [{ methods: [UNARY], kind: 'unary' }],
        },
      });
      await sidecar.ready();
      if (isPinned) {
        pin(sidecar.pid, PROXY_CORE);
        for (const child of children) pin(child.pid, LOAD_CORE);
      }
      return new OverloadBench(setup, bench, model, load, sidecar);
    } catch (error) {
      for (const child of children) child.stop();
      await bench.close();
      throw error;
    }
  }

  async phase(part: Pick<Phase, 'forMs' | 'perSecond' | 'inFlight'>): Promise<PhaseCalls> {
    const { deadlineMs, firstClassEvery } = this.setup;
    const inbound = this.sidecar.address('inbound');
    if (inbound.kind !== 'tcp') throw new Error('the sidecar is expected on TCP');
    const { port } = inbound;
    return this.load.ask({ ...part, port, deadlineMs, firstClassEvery, seed: this.seed++ });
  }

  counts(): Promise<ModelCounts> {
    return this.model.ask('counts');
  }

  async close(): Promise<void> {
    this.load.stop();
    this.model.stop();
    await this.bench.close();
  }
}
