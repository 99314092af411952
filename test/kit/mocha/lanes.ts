/** Which test files run side by side, and which alone: the lanes of `npm test`. */

/** What one mocha process runs: `name` is a folder or a file. */
export interface Job {
  readonly name: string;
  readonly files: readonly string[];
  /** It is one of those of its lane of which no second one may run meanwhile. */
  readonly isExclusive: boolean;
}

/** `width` jobs of a lane run at a time. A lane begins when the one before it has ended. */
export interface Lane {
  readonly name: string;
  readonly width: number;
  readonly jobs: readonly Job[];
}

/** Which files a lane holds. */
export interface LaneRule extends Pick<Lane, 'name' | 'width'> {
  /** What a process runs: a folder below `test/GROUP/` (the files right there are one more), or one file wherever it is. */
  readonly process: 'folder' | 'file';
  /** Folders and files, without `.test.ts`. The longest one that holds a file decides its lane. Long jobs come first. */
  readonly holds: readonly string[];
  /** Those of them of which no two may run at a time: they use the same ports, or most of the machine. */
  readonly oneAtATime?: readonly string[];
}

/** They use the ports that README, docs/ and mesh-config/ name. */
const FIXED_PORTS = [
  ...['test/e2e/examples', 'test/interop/clients/clients-page', 'test/e2e/readme'],
  ...['test/e2e/own-model', 'test/e2e/own-server', 'test/e2e/python-examples'],
  'test/e2e/task-pages',
];

/** What is promised within a time, while processes die, freeze and are replaced under load: each uses a core and more. */
const FAULTS = ['test/e2e/decision-faults', 'test/e2e/consul-faults', 'test/e2e/call-faults'];

/** On two cores: tests of the second and third lane mostly wait for processes to start and for time to pass. */
export const LANES: readonly LaneRule[] = [
  {
    name: 'in memory',
    width: 2,
    process: 'folder',
    holds: [
      // Of the unit tests those that take longest.
      ...['test/unit/cli', 'test/unit/http2', 'test/unit/services', 'test/unit/config', 'test/unit/core'],
      ...['test/scenario/traffic', 'test/scenario/outliers', 'test/scenario/models'],
      ...['test/unit', 'test/simulation', 'test/scenario', 'test/stack', 'test/rules'],
      ...['test/bench', 'test/drills'],
    ],
  },
  {
    name: 'processes',
    width: 3,
    process: 'file',
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
    // One drill at a time, and beside it what mostly waits for Consul, and uses little of a core meanwhile.
    name: 'faults',
    width: 2,
    process: 'file',
    oneAtATime: FAULTS,
    holds: [...FAULTS, 'test/stack/discovery', 'test/stack/cli', 'test/kit/consul'],
  },
  {
    name: 'alone',
    width: 1,
    process: 'file',
    holds: [
      // Latencies beside a large call, floods that are fast enough only alone, goodput.
      ...['test/interop/neighbours', 'test/bench/overload', 'test/attacks/memory', 'test/attacks/exhaustion'],
      ...['test/attacks/cancel-flood', 'test/attacks/rapid-reset', 'test/attacks/floods'],
      'test/attacks/partial-uploads',
    ],
  },
];

/** The lanes that hold `files`, paths such as `test/unit/core/queue.test.ts`; lanes without any are left out. */
export function lanesOf(files: readonly string[], rules: readonly LaneRule[] = LANES): Lane[] {
  const jobs = new Map(rules.map((rule) => [rule, new Map<string, string[]>()]));
  for (const file of [...files].sort()) {
    const rule = ruleFor(file, rules);
    const name = rule.process === 'file' ? file : folderOf(file);
    const of = jobs.get(rule)!;
    of.set(name, [...(of.get(name) ?? []), file]);
  }
  return rules
    .map((rule) => ({ name: rule.name, width: rule.width, jobs: jobsOf(rule, jobs.get(rule)!) }))
    .filter((lane) => lane.jobs.length > 0);
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

function jobsOf({ holds: places, oneAtATime = [] }: LaneRule, files: ReadonlyMap<string, string[]>): Job[] {
  const at = (name: string): number => places.findIndex((place) => `${name}/`.startsWith(place));
  const jobs = [...files].map(([name, of]) => {
    return {
      name,
      files: of,
      isExclusive: oneAtATime.some((place) => of.some((file) => holds(place, file))),
    };
  });
  return jobs.sort((a, b) => at(a.name) - at(b.name));
}

/** Takes the next job out of `left`: the first one that may run beside `running`; undefined when none may. */
export function takeJob(left: Job[], running: ReadonlySet<Job>): Job | undefined {
  const isTaken = [...running].some((job) => job.isExclusive);
  const at = left.findIndex((job) => !(isTaken && job.isExclusive));
  return at < 0 ? undefined : left.splice(at, 1)[0];
}
