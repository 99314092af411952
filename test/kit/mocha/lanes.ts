/** Which test files run side by side, and which alone: the lanes of `npm test`. */

/** What is run in one go: `name` is a folder or a file. */
export interface Job extends Pick<LaneRule, 'share' | 'ownProcess' | 'needsNoTools'> {
  readonly name: string;
  readonly files: readonly string[];
  readonly lane: string;
  /** The place of its lane among the lanes, from 0. */
  readonly rank: number;
  /** It is one of those of its lane of which no second one may run meanwhile. */
  readonly isExclusive: boolean;
}

/** Which files a lane holds. */
export interface LaneRule {
  readonly name: string;
  /** How much of the machine a job takes: jobs run side by side as long as their shares fit into `MACHINE`. */
  readonly share: number;
  /** Each job has a process that has run no other one; by default, any job runs in the process of one that has ended. */
  readonly ownProcess?: boolean;
  /** Its jobs start no foreign program, so that they may run while those are brought. */
  readonly needsNoTools?: boolean;
  /** What a job is: a folder below `test/GROUP/` (the files right there are one more), or one file wherever it is. */
  readonly job: 'folder' | 'file';
  /** Folders and files, without `.test.ts`. The longest one that holds a file decides its lane. Long jobs come first. */
  readonly holds: readonly string[];
  /** Those of them of which no two may run at a time: they use the same ports, or most of the machine. */
  readonly oneAtATime?: readonly string[];
}

/** Two cores. */
export const MACHINE = 40;

/** They use the ports that README, docs/ and mesh-config/ name. */
const FIXED_PORTS = [
  ...['test/e2e/examples', 'test/interop/clients/clients-page', 'test/e2e/readme'],
  ...['test/e2e/package', 'test/e2e/own-server', 'test/e2e/python-examples'],
  'test/e2e/task-pages',
];

/** In the order in which they begin. A job that does not fit beside the others is passed by those behind it that leave it room. */
export const LANES: readonly LaneRule[] = [
  {
    // Three at a time, and one that waits: some of them wait for files and processes of their own.
    name: 'unit',
    share: 12,
    needsNoTools: true,
    job: 'folder',
    holds: [
      // Those that take longest come first.
      ...['test/unit/cli', 'test/unit/http2', 'test/unit/services', 'test/unit/config', 'test/unit/core'],
      ...['test/unit', 'test/rules'],
    ],
  },
  {
    // Two at a time, and one that waits.
    name: 'in memory',
    share: 18,
    needsNoTools: true,
    job: 'folder',
    holds: [
      ...['test/scenario/traffic', 'test/scenario/outliers', 'test/scenario/models'],
      ...['test/simulation', 'test/scenario', 'test/stack'],
      ...['test/bench', 'test/drills'],
    ],
  },
  {
    // What is promised within a time, while processes die, freeze and are replaced under load, and floods: each uses one core, and a
    // process of the next lane has the other one.
    name: 'faults',
    share: 27,
    ownProcess: true,
    job: 'file',
    holds: [
      ...[
        'test/e2e/consul-faults',
        'test/attacks/memory',
        'test/e2e/decision-faults',
        'test/attacks/rapid-reset',
      ],
      ...['test/attacks/partial-uploads', 'test/e2e/call-faults', 'test/attacks/floods'],
      ...['test/attacks/exhaustion', 'test/interop/load-reports', 'test/bench/load/run'],
    ],
  },
  {
    // Four at a time, and one that waits: they wait for processes to start and for time to pass.
    name: 'processes',
    share: 9,
    job: 'file',
    oneAtATime: FIXED_PORTS,
    holds: [
      ...FIXED_PORTS,
      // Each runs for long, so that none is left over at the end of the lane.
      ...['test/conformance/connect', 'test/stack/services/ocr', 'test/e2e/chaos'],
      ...['test/e2e/sidecar', 'test/e2e/up', 'test/e2e'],
      'test/interop',
      // Their canaries are compared with others at the same moments, and what they hold is not time.
      'test/attacks',
      ...['test/stack/services', 'test/stack/supervise'],
      // Those of seconds come first, so that none is left over at the end of the lane.
      ...['test/bench/faults', 'test/conformance', 'test/kit/browser'],
      ...['test/bench/load', 'test/kit'],
    ],
  },
  {
    // They use a tenth to a third of a core: mostly, Consul or a limit of time is waited for. The longest ones come first.
    name: 'waiting',
    share: 4,
    job: 'file',
    holds: [
      ...['test/e2e/up/consul', 'test/stack/discovery/intentions', 'test/stack/discovery/queries'],
      ...['test/e2e/up/consul-ui', 'test/e2e/sidecar/full-disk', 'test/stack/discovery/endpoints'],
      ...['test/e2e/sidecar/datacenters', 'test/e2e/sidecar/adoption', 'test/e2e/sidecar/dns'],
      ...['test/attacks/slow-peers', 'test/attacks/descriptors', 'test/stack/supervise/guardian'],
      ...['test/stack/discovery', 'test/stack/cli', 'test/kit/consul'],
    ],
  },
  {
    name: 'alone',
    share: MACHINE,
    ownProcess: true,
    job: 'file',
    holds: [
      // Latencies beside a large call, goodput, and a flood that is fast enough only alone.
      ...['test/interop/neighbours', 'test/bench/overload', 'test/attacks/cancel-flood'],
    ],
  },
];

/** The jobs of `files`, paths such as `test/unit/core/queue.test.ts`, in the order of `rules`. */
export function jobsOf(files: readonly string[], rules: readonly LaneRule[] = LANES): Job[] {
  const names = new Map(rules.map((rule) => [rule, new Map<string, string[]>()]));
  for (const file of [...files].sort()) {
    const rule = ruleFor(file, rules);
    const name = rule.job === 'file' ? file : folderOf(file);
    const of = names.get(rule)!;
    of.set(name, [...(of.get(name) ?? []), file]);
  }
  return rules.flatMap((rule, rank) => inOrder(rule, rank, names.get(rule)!));
}

/** `test/GROUP/FOLDER`, or `test/GROUP` of a file that lies right there. */
function folderOf(file: string): string {
  const parts = file.split('/');
  return parts.slice(0, Math.min(3, parts.length - 1)).join('/');
}

function ruleFor(file: string, rules: readonly LaneRule[]): LaneRule {
  const places = rules.flatMap((rule) => rule.holds.map((place) => ({ rule, place })));
  const holding = places.filter(({ place }) => holds(place, file));
  const [nearest] = holding.sort((a, b) => b.place.length - a.place.length);
  if (nearest === undefined) throw new Error(`${file} is in no lane of test/kit/mocha/lanes.ts`);
  return nearest.rule;
}

const holds = (place: string, file: string): boolean =>
  file.startsWith(`${place}/`) || file === `${place}.test.ts`;

function inOrder(rule: LaneRule, rank: number, files: ReadonlyMap<string, string[]>): Job[] {
  const { name: lane, share, ownProcess = false, needsNoTools = false } = rule;
  const { holds: places, oneAtATime = [] } = rule;
  const at = (name: string): number => places.findIndex((place) => `${name}/`.startsWith(place));
  const jobs = [...files].map(([name, of]) => {
    const isExclusive = oneAtATime.some((place) => of.some((file) => holds(place, file)));
    return { ...{ name, files: of, lane, rank, share, ownProcess, needsNoTools }, isExclusive };
  });
  return jobs.sort((a, b) => at(a.name) - at(b.name));
}

/**
 * Takes the next job out of `left`: the first one that may run beside `running`; undefined when none may. Those of later lanes leave room
 * for the first one that does not fit: a job that takes most of the machine would else be passed until no other one is left to run beside it.
 */
export function takeJob(left: Job[], running: ReadonlySet<Job>): Job | undefined {
  const free = MACHINE - shareOf(running);
  const first = left.find(({ share }) => share > free);
  const leavesRoom = (job: Job): boolean => {
    if (first === undefined || job.rank <= first.rank) return true;
    const later = [...running].filter(({ rank }) => rank > first.rank);
    return shareOf(later) + job.share <= MACHINE - first.share;
  };
  const mayRun = (job: Job): boolean =>
    job.share <= free &&
    leavesRoom(job) &&
    !(job.isExclusive && [...running].some(({ lane, isExclusive }) => isExclusive && lane === job.lane));
  const at = left.findIndex(mayRun);
  return at < 0 ? undefined : left.splice(at, 1)[0];
}

const shareOf = (jobs: Iterable<Job>): number => [...jobs].reduce((sum, { share }) => sum + share, 0);
