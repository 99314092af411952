/**
 * The life of a model process that the sidecar owns.
 */
import * as z from 'zod';
import type { VersionPolicy } from '../../core/models/version-policy.js';
import {
  readVersionPolicy,
  VERSION_POLICY_FORM,
  VERSION_POLICY_PATTERN,
  versionPolicyText,
} from '../codecs/version-policy.js';
import { fromFile } from '../names-codec.js';
import type { FoundBlock } from './found.js';
import { block, blockAs, inCode, located, option, type Report, rules, value } from './option.js';
import {
  choice,
  codec,
  duration,
  listOf,
  matching,
  pathFrom,
  plainText,
  ratio,
  rational,
  refuseMaxBelowBase,
  size,
  wholeNumber,
  wholeNumberOrNone,
  yesOrNo,
} from './values.js';

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const ENV_ERROR = 'an environment variable: letters, digits and "_"';

const command = () =>
  listOf(plainText('a word of the command'), 'words, the program first, as in [python3, server.py]')
    .min(1, { error: 'a program' })
    .refine((words) => words[0] !== '', { error: 'the first word is empty; expected a program' });

/** In a mesh file: a bare name is looked up in PATH; `./server` is meant beside the file. */
export const meshCommand = located(command(), ([program = '', ...rest], baseDir) => [
  /^\.\.?\//.test(program) ? pathFrom(program, baseDir) : program,
  ...rest,
]);

const INHERITED = /^[A-Za-z_][A-Za-z0-9_]*\*?$/;
const INHERITED_ERROR =
  'the name of an environment variable, or the beginning of names and "*", as in "AWS_*"';

const restartLimit = block({
  starts: option(wholeNumberOrNone({ min: 1, max: 1_000 }).prefault(5), {
    meaning:
      'A process that died after this many starts within `within`, and served for less than half of that time, is given up. It is critical in Consul, callers use other replicas or their fallback, and one start each `retry_after` tries again. `none`: never.',
    why: 'A process that dies five times in a row will die again.',
  }),
  within: option(duration({ min: 1, max: 86_400_000 }).prefault('60s'), {
    meaning: 'The time within which the starts are counted.',
    why: 'Longer than the waits between the first five starts together, and than the loading of a usual model.',
  }),
});

const restart = block({
  base: option(duration({ min: 1, max: 600_000 }).prefault('100ms'), {
    meaning:
      'The first restart waits half of this to all of it, at random. The wait doubles with each further death, until the process has been healthy for a minute.',
    why: 'A process that died once comes back at once.',
  }),
  max: option(duration({ min: 1, max: 3_600_000 }).prefault('30s'), {
    meaning: 'The wait never exceeds this.',
    why: 'A process that cannot start should not burn a core trying.',
  }),
  limit: option(restartLimit.prefault({}), {
    meaning: 'When it is given up.',
    why: 'The limits of Erlang/OTP supervisors and of systemd are of this size.',
  }),
  retry_after: option(duration({ min: 10, max: 86_400_000 }).prefault('5m'), {
    meaning:
      'How long after it was given up, and after each further failed start, the process is started once more.',
    why: 'A model that was repaired meanwhile comes back by itself.',
  }),
}).check(rules(refuseMaxBelowBase));

const common = {
  env: option(
    z
      .record(matching('text', ENV_NAME, ENV_ERROR), plainText('text'), { error: 'a map of names and texts' })
      .prefault({}),
    { meaning: 'Environment variables for the process.', why: 'Nothing is needed.' },
  ),
  inherit: option(
    listOf(
      matching('text', INHERITED, INHERITED_ERROR),
      'names of environment variables, as in [HF_HOME, "AWS_*"]',
    ).prefault([]),
    {
      meaning:
        'Environment variables of the sidecar that the process also gets: a name, or `NAME*` for all that begin so. The process always gets PATH, HOME, TMPDIR, TZ, LANG, LANGUAGE, LC_*, LD_LIBRARY_PATH, VIRTUAL_ENV, PYTHON*, CUDA_*, NVIDIA_* and OMP_*, and no others, not even NODE_OPTIONS. The names of those that were withheld are logged once.',
      why: 'A model needs no tokens and keys of the sidecar.',
    },
  ),
  start_timeout: option(duration({ min: 10, max: 3_600_000 }).prefault('60s'), {
    meaning: 'Longest time from its start until it is ready; then it is killed and started again.',
    why: 'Large models take half a minute to load.',
  }),
  not_serving_timeout: option(duration({ min: 100, max: 3_600_000 }).prefault('20s'), {
    meaning:
      'A process that was ready and then answers NOT_SERVING for this long is killed and started again. It is left alone while its RepositoryIndex says that models are being loaded or unloaded, or have been unloaded. At most `start_timeout`.',
    why: 'A model that has lost its device does not come back by itself; a short pause is not that.',
  }),
  longest_run: option(duration({ min: 1_000, max: 86_400_000 }).prefault('5m'), {
    meaning:
      'A process whose runs bring no result for this long is killed and started again, whatever the deadlines of the callers. Only the model service of Outrider says that it runs something while it answers health checks. A server of another make that answers them is left alone, unless it is an `engine` that sends no byte of any answer for this long though answers have begun to stream and their callers read.',
    why: 'Longer than any inference that is waited for; a caller without a deadline must not hold a hung model for ever.',
  }),
  restart: option(restart.prefault({}), {
    meaning: 'The wait before a restart.',
    why: 'Random, so that replicas that died together do not start in step.',
  }),
  stop_timeout: option(duration({ min: 1, max: 3_600_000 }).prefault('10s'), {
    meaning: 'Longest time it may take to stop when asked; then it is killed.',
    why: 'Longer than the longest usual inference.',
  }),
};

/** In a mesh file: what runs is said by `models` or `command` of the service. */
export const meshModelProcess = blockAs('a block about the model process', common);

/** What a file means that says nothing of the model process. */
export function defaultModelProcess() {
  return fromFile(meshModelProcess, meshModelProcess.parse({}), '/');
}

/** Processes of each model, in a mesh file and in a sidecar file. */
export const instanceCount = () => wholeNumber({ min: 1, max: 32 });
export const INSTANCES_MEANING =
  "Processes of each model, behind one queue (`count` of Triton's `instance_group`). A call goes to the ready process with the fewest calls in flight. A sequence (request parameter `sequence_id`) stays at its process. `queue.concurrency` counts for each. A process that dies is started again while the others continue. With `isolation: process` only.";
export const INSTANCES_REASON =
  'Each takes the memory of its model again; one process runs one inference at a time.';

/** Which versions of a model are served. */
export const versionPolicy = () =>
  value(codec(VERSION_POLICY_FORM, VERSION_POLICY_PATTERN, readVersionPolicy, versionPolicyText), {
    type: 'versions',
  });
export const VERSIONS_MEANING =
  "Which versions of each model are served (Triton's `version_policy`): `latest N` (the N highest), `specific V, V`, or `all`. Each is a process of its own. A request with `model_version` gets that one, a request without it the highest that is ready. With `isolation: process` only.";
export const VERSIONS_REASON = 'One version takes the memory of one.';

/** How a repository changes while it is served. */
export const repository = () =>
  block({
    control: option(choice(['none', 'poll', 'explicit']).prefault('none'), {
      meaning:
        "As Triton's `--model-control-mode`. `none`: the directory is read at the start. `poll`: new, changed and removed versions and models are followed. `explicit`: only RepositoryModelLoad and RepositoryModelUnload load and unload models; callers need an intention that names the method (`control_methods`). In each mode a new version is loaded beside the old one and gets calls only after it has passed its golden input.",
      why: 'A model should not change unless that is wanted.',
    }),
    poll: option(duration({ min: 100, max: 86_400_000 }).prefault('15s'), {
      meaning:
        'With `control: poll`: the longest time until a change is noticed. If the system reports changes of folders, new versions and models are noticed at once. A version must stay the same for a second before it is loaded.',
      why: "Triton's default for `--repository-poll-secs`.",
    }),
  });
export const REPOSITORY_MEANING =
  'Whether models and versions are loaded and unloaded while others are served. With `isolation: process` only.';

/** How one version takes the place of another. */
export const rollout = () =>
  block({
    agreement: option(ratio({ min: 0, max: 1 }).prefault(0.98), {
      meaning:
        'Share of responses that must agree with the old version: the same largest class, or numbers within 0.001 if there are no classes.',
      why: 'A version that was trained anew differs in a few answers; one that is wrong differs in many.',
    }),
    samples: option(wholeNumber({ min: 0, max: 100_000 }).prefault(50), {
      meaning:
        'Answers that are compared before the new version gets its first call. Copies of unary inferences (ModelInfer, without a sequence) are sent one at a time and take at most a quarter of the time. 0: none, for a model whose runs have effects elsewhere.',
      why: 'A version that agrees in 60 % of answers passes 98 % of 50 by chance once in 10^9 times.',
    }),
    window: option(duration({ min: 1_000, max: 86_400_000 }).prefault('60s'), {
      meaning:
        'How long calls are watched after each change of traffic. It also limits how long answers are compared; a replica with too few calls goes on after it.',
      why: 'Long enough for errors to show at a call a second.',
    }),
    canary: option(ratio({ min: 0, max: 0.5 }).prefault(0), {
      meaning:
        'Share of the calls that the new version gets for one `window` before it gets all. Calls that name a version or belong to a sequence are not among them. 0: it gets all at once.',
      why: 'Its answers have been compared before.',
    }),
    max_latency: option(rational({ min: 1, max: 100 }).prefault(2), {
      meaning:
        'The median latency of the new version may be this many times that of the old one, or 5 ms more.',
      why: 'Above the noise of a busy machine.',
    }),
    follow: option(yesOrNo().prefault(true), {
      meaning:
        'True: a new version in the directory, or changed files of the served one, start a rollout. False: `outrider rollout` starts it.',
      why: 'A version is put there to be served.',
    }),
  });
export const ROLLOUT_MEANING =
  'Present: a new version replaces the old one at one replica after the other. It is loaded beside the old one, passes its golden input, is compared on copies of real calls, gets the calls, and is watched. If it fails at any step, the old version gets the calls back. `outrider rollout` or a new version in the directory starts it. Replicas agree through Consul (KV below `outrider/rollout/SERVICE/`; the ACL policy needs `key_prefix` and `session_prefix` with `write`) or through `state_dir`. With `isolation: process` and versions `latest 1`.';

/** Versions change in one way only, and one at a time. */
export function refuseOtherControl(found: FoundBlock, report: Report): void {
  if (found['rollout'] === undefined) return;
  if (found['repository'] !== undefined)
    report(['repository'], 'found beside rollout; expected one of them, for either says how versions change');
  const policy = found['versions'];
  const said =
    typeof policy === 'object' && policy !== null ? versionPolicyText(policy as VersionPolicy) : policy;
  if (typeof said === 'string' && !/^(latest( 1)?|specific \d+)$/.test(said))
    report(['versions'], `found "${said}" beside rollout; expected "latest 1" or "specific N"`);
}

/** When a process is replaced although it serves. */
export const recycle = () =>
  block({
    max_age: option(duration({ min: 10_000, max: 31_536_000_000 }).optional(), {
      meaning: 'A process older than this is replaced.',
      otherwise: 'absent: age is no reason',
      why: 'Only the model knows whether it ages.',
    }),
    max_memory: option(size({ min: 1024 * 1024, max: 1024 ** 4 }).optional(), {
      meaning: 'A process with more resident memory than this is replaced.',
      otherwise: 'absent: memory is no reason',
      why: 'Only the model knows what it needs.',
    }),
  });
export const RECYCLE_MEANING =
  'Present: a process that is old or large is replaced before it fails. A fresh one is loaded beside it, passes its golden input and takes its calls; then the old one drains. One process at a time is replaced at a replica, and if replicas share a store (`rollout`), at one replica at a time. It takes the memory of the model twice meanwhile. With `isolation: process` only.';

/** In a sidecar file. */
export const sidecarModelProcess = blockAs('a block about the model process', {
  command: option(
    inCode(
      command().optional(),
      (said) => said ?? [],
      (config) => (config.length === 0 ? undefined : config),
    ),
    {
      meaning:
        'The program and its arguments; no shell reads them. `{socket}` stands for the address in `inbound.local`, `{model}` for the name of a model (see `isolation`), `{version}` for its version.',
      otherwise: 'taken from the command line: `outrider sidecar -c FILE -- COMMAND…`',
      why: 'A unit file or a container often says it already.',
    },
  ),
  isolation: option(choice(['process', 'shared']).optional(), {
    meaning:
      'How the models of `inbound.golden.models` are served. `process`: each has a process of its own, whose command gets its name for `{model}` and its socket for `{socket}`. `shared`: one process serves all. In both cases each model has its own queue, limits and health, and calls go to the model that they name.',
    otherwise: 'absent: one process, which is not asked which models it has',
    why: 'Right for any server.',
  }),
  instances: option(instanceCount().optional(), {
    meaning: INSTANCES_MEANING,
    otherwise: '`1`',
    why: INSTANCES_REASON,
  }),
  versions: option(versionPolicy().optional(), {
    meaning: `${VERSIONS_MEANING} The command needs {version}.`,
    otherwise: '`latest 1`',
    why: VERSIONS_REASON,
  }),
  repository: option(repository().optional(), {
    meaning: `${REPOSITORY_MEANING} The command needs {version}.`,
    otherwise: 'absent: `control: none`',
    why: 'A model should not change unless that is wanted.',
  }),
  rollout: option(rollout().optional(), {
    meaning: `${ROLLOUT_MEANING} The command needs {version}.`,
    otherwise: 'absent: versions change as `repository` says',
    why: 'It takes the memory of a model twice, and a place where replicas agree.',
  }),
  recycle: option(recycle().optional(), {
    meaning: `${RECYCLE_MEANING} The command needs {version}.`,
    otherwise: 'absent: a process runs until it ends',
    why: 'A process that serves should be left alone unless there is a reason.',
  }),
  ...common,
});
