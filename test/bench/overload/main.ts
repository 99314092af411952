/**
 * What a sidecar makes of more calls than its model can serve. The model's capacity is measured first, through the
 * sidecar; then five times as many calls come, and then few again. Load and model have core 0, the sidecar core 1.
 */

import { Model } from '../../drills/faults/model.js';
import { ONCE } from '../../drills/faults/model-protocol.js';
import { portOf } from '../../kit/interop/programs.js';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { LOAD_CORE, OPEN_INBOUND, PROXY_CORE, pin } from '../subjects/subject.js';
import { figuresOf, type OverloadFigures } from './figures.js';
import { CLASS_KEY, type Phase, type PhaseCalls } from './protocol.js';

/** The model: so many calls at once, each for so long. */
const PLACES = 4;
const SERVICE_MS = 20;
/** Times the capacity. */
const OVERLOAD = 5;
/** Before and after: a share of the capacity that leaves room. */
const EASY = 0.5;

/** One configuration of the queue, and the calls it gets. */
interface Setup {
  readonly name: string;
  readonly title: string;
  readonly queue: Readonly<Record<string, unknown>>;
  readonly deadlineMs: number;
  /** Every so many calls one is of the first class; 0: no classes. */
  readonly firstClassEvery: number;
}

const TWO_CLASSES = { priority: { key: CLASS_KEY, classes: ['first', 'other'] } };

function setup(name: string, title: string, rest: Partial<Setup> & Pick<Setup, 'queue'>): Setup {
  return { name, title, deadlineMs: 1_000, firstClassEvery: 0, ...rest };
}

export const SETUPS: readonly Setup[] = [
  setup('short-line', 'fixed concurrency, a short line', {
    queue: { concurrency: PLACES, max_waiting: PLACES },
  }),
  setup('deadlines', 'fixed concurrency, a long line, deadlines of 400 ms', {
    queue: { concurrency: PLACES },
    deadlineMs: 400,
  }),
  setup('adaptive', 'concurrency found by measuring, begun at 64', {
    queue: { concurrency: 64, max_waiting: 16, adaptive: { min: 1, max: 200 } },
  }),
  setup('classes', 'two classes, one call in twenty of the first', {
    queue: { concurrency: PLACES, max_waiting: 2 * PLACES, ...TWO_CLASSES },
    firstClassEvery: 20,
  }),
];

/** Lengths of the phases, ms. */
type Times = typeof FULL;

export const FULL = { warmMs: 3_000, capacityMs: 5_000, easyMs: 3_000, overloadMs: 15_000, afterMs: 6_000 };
export const QUICK = { warmMs: 1_000, capacityMs: 1_500, easyMs: 1_000, overloadMs: 3_000, afterMs: 2_000 };

/** Measures one setup. `isPinned`: each side has a core of its own. */
export async function measureOverload(
  setup: Setup,
  times: Times,
  { isPinned }: { readonly isPinned: boolean },
): Promise<OverloadFigures> {
  const bench = await SidecarBench.open();
  const model = await Model.start({ places: PLACES, serviceMs: SERVICE_MS });
  const load = await AskedProcess.start<Phase>(new URL('load.js', import.meta.url));
  try {
    const sidecar = await bench.start('model', {
      service: 'model',
      inbound: {
        ...OPEN_INBOUND,
        local: model.address,
        queue: setup.queue,
        routes: [{ methods: [ONCE.path], kind: 'unary' }],
      },
    });
    await sidecar.ready();
    if (isPinned) {
      pin(sidecar.pid, PROXY_CORE);
      for (const { pid } of [load, model.process]) pin(pid, LOAD_CORE);
    }
    return await measure(setup, times, { model, load, sidecar });
  } finally {
    load.stop();
    await model.kill();
    await bench.close();
  }
}

interface World {
  readonly model: Model;
  readonly load: AskedProcess<Phase>;
  readonly sidecar: SidecarProcess;
}

async function measure(
  setup: Setup,
  times: Times,
  { model, load, sidecar }: World,
): Promise<OverloadFigures> {
  const { deadlineMs, firstClassEvery } = setup;
  const port = portOf(sidecar.address('inbound'));
  let seed = 1;
  const phase = (part: Pick<Phase, 'forMs' | 'perSecond' | 'inFlight'>): Promise<PhaseCalls> =>
    load.ask({ ...part, port, deadlineMs, firstClassEvery, seed: seed++ });
  await phase({ forMs: times.warmMs, inFlight: PLACES });
  const closed = await phase({ forMs: times.capacityMs, inFlight: 2 * PLACES });
  const perSecond = (closed.status.filter((status) => status === 0).length * 1_000) / times.capacityMs;
  const before = await phase({ forMs: times.easyMs, perSecond: EASY * perSecond });
  const fromMs = performance.now();
  const overload = await phase({ forMs: times.overloadMs, perSecond: OVERLOAD * perSecond });
  const [ran, lost] = [model.runs(fromMs), model.cancelled(fromMs)];
  const concurrency = await sidecar.metric('outrider_queue_concurrency');
  const after = await phase({ forMs: times.afterMs, perSecond: EASY * perSecond });
  const runs = { runs: ran.length, unanswered: lost.length };
  const { overloadMs } = times;
  return figuresOf(setup, { perSecond, before, overload, overloadMs, after, runs, concurrency });
}
