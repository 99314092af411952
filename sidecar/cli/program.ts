import { Command, CommanderError, Option } from 'commander';
import { DEFAULT_DATACENTER, DEFAULT_TRUST_DOMAIN } from '../config/defaults.js';
import type { CertsOptions } from './certs.js';
import { addChaosCommands } from './chaos/commands.js';
import { addDeployCommands } from './deploy/commands.js';
import { CommandFailure, oneLine } from './failure.js';
import { explainUsage, optionDescription } from './help/command-help.js';
import { MESH } from './help/mesh-options.js';
import type { InferFlags } from './infer/flags.js';
import { addOperatorCommands } from './operator-commands.js';
import type { InitOptions } from './own-model/init.js';
import { packageFile, packageVersion } from './package-info.js';
import { addRolloutCommands } from './rollout/commands.js';
import type { ServeOptions } from './serve.js';
import { guardOutput } from './terminal.js';

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/**
 * Runs one command of the command line. Commands are loaded when they are called: a sidecar starts
 * without the model runtime, and `--version` loads almost nothing.
 *
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage. Never rejects.
 */
export async function runProgram(args: readonly string[]): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) guardOutput(stream);
  let exitCode = EXIT_OK;
  const program = build((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(understood(args, program), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE; // commander has printed the reason
    const message = error instanceof CommandFailure ? error.message : oneLine(error);
    for (const line of message.split('\n')) process.stderr.write(`outrider: ${line}\n`);
    if (process.env['OUTRIDER_DEBUG'] === '1' && error instanceof Error)
      process.stderr.write(`${error.stack}\n`);
    return error instanceof CommandFailure ? error.exitCode : EXIT_FAILED;
  }
}

/** Without the rest after a command that there is none of: `staus --help` is a mistake, and not a question for the help of the program. */
function understood(args: readonly string[], program: Command): readonly string[] {
  const [first = '-'] = args;
  const isKnown =
    first.startsWith('-') || first === 'help' || program.commands.some((each) => each.name() === first);
  return isKnown ? args : [first];
}

/**
 * Every command with its options; `done` gets the exit code. Exported for the test that checks
 * documents against it.
 */
export function build(done: (exitCode: number) => void): Command {
  const program = new Command('outrider');
  program
    .description('A service mesh for machine-learning models.')
    .version(packageVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [COMMAND]', 'print the help of a command')
    .configureHelp({ optionDescription })
    // `rollout --version N` is no question for the version of the program.
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(outrider --help lists the commands)')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'outrider: ')) });
  addMeshCommands(program, done);
  addCertsCommand(program, done);
  addDeployCommands(program, done);
  addModelCommands(program, done);
  addOperatorCommands(program, done);
  addChaosCommands(program, done);
  addRolloutCommands(program, done);
  explainUsage(program);
  return program;
}

function addMeshCommands(program: Command, done: (exitCode: number) => void): void {
  const consul = new Option('--consul <KIND>', 'dev: start a Consul agent and run the mesh on it');
  program
    .command('up')
    .description('run a whole mesh on this machine until Ctrl-C')
    .argument(
      '[FILE]',
      'mesh file; default: the demo, mesh-config/demo.yaml of this folder or of the package',
    )
    .addOption(consul.choices(['dev']))
    .addOption(
      new Option('--ports <HOW>', 'free: use a free port wherever a port of the file is taken').choices([
        'free',
      ]),
    )
    .option('--json', 'print events as JSON, one a line')
    .action(async (file: string | undefined, options: { json?: true; consul?: 'dev'; ports?: 'free' }) => {
      const { upCommand } = await import('./up/up.js');
      const { ports, ...rest } = options;
      const place = file ?? packageFile('mesh-config/demo.yaml');
      done(await upCommand(place, { json: false, freePorts: ports === 'free', ...rest }));
    });
  program
    .command('sidecar')
    .description('run one sidecar; with a command, it also starts, checks and restarts that model server')
    .requiredOption('-c, --config <FILE>', 'sidecar file')
    .option('--takeover', 'replace the running sidecar of this file by a new process without losing calls')
    .argument(
      '[COMMAND...]',
      'after --: command of the model server; {socket} is the address where it must listen',
    )
    .usage('-c FILE [--takeover] [-- COMMAND…]')
    .action(async (command: string[], options: { config: string; takeover?: true }) => {
      if (options.takeover === true) {
        const { takeoverCommand } = await import('./sidecar/takeover-command.js');
        done(await takeoverCommand(options.config, command));
        return;
      }
      const { sidecarCommand } = await import('./sidecar/sidecar.js');
      done(await sidecarCommand(options.config, command));
    });
}

function addCertsCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('certs')
    .description('make certificates to try out sidecars with `identity`')
    .argument('<SERVICE...>', 'services, callers included')
    .option('--out <DIR>', 'folder for SERVICE.crt, SERVICE.key and roots.crt', 'certs')
    .option('--trust-domain <NAME>', '`trust_domain` of the sidecar files', DEFAULT_TRUST_DOMAIN)
    .option('--datacenter <NAME>', '`datacenter` of the sidecar files', DEFAULT_DATACENTER)
    .option('--days <N>', 'days until they expire', '365')
    .option('--json', 'print JSON')
    .action(async (services: string[], options: Omit<CertsOptions, 'days'> & { days: string }) => {
      const { certsCommand } = await import('./certs.js');
      done(await certsCommand(services, { ...options, days: Number(options.days) }));
    });
}

function addModelCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('serve')
    .description('run a model server for a folder of models')
    .requiredOption('--models <DIR>', 'folder of models: DIR/NAME/VERSION/model.onnx')
    .option('--model <NAME>', 'serve only this model; may be repeated', collect, [])
    .option(
      '--listen <ADDR>',
      'where to listen: HOST:PORT or unix:PATH; default: $OUTRIDER_MODEL_LISTEN or 127.0.0.1:8001',
    )
    .option(
      '--rest <ADDR>',
      'also serve the protocol over HTTP and JSON at HOST:PORT or unix:PATH; default: off',
    )
    .option(
      '--rest-host <NAME>',
      'host name to accept over HTTP, besides IP addresses and localhost; may be repeated',
      collect,
      [],
    )
    .option(
      '--control <MODE>',
      "explicit: load and unload models on command, as Triton's --model-control-mode; default: none",
    )
    .option('--memory-budget <SIZE>', 'memory for the payload of calls, such as 512MiB; default: 1GiB')
    .option('--golden', 'run each model once, print its block `golden` for model.yaml, and end')
    .option('--json', 'print events as JSON, one a line; with --golden, one object for each model')
    .addOption(new Option('--exit-with-stdin', 'end when standard input ends').hideHelp())
    .action(async (options: ServeOptions) => {
      const { serveCommand } = await import('./serve.js');
      done(await serveCommand(options));
    });
  program
    .command('init')
    .description('set up your own ONNX file: copy it, write its model.yaml and a mesh file')
    .argument('<NAME>', 'name of the model and of its service')
    .requiredOption('--model <FILE>', 'ONNX file; it is copied to DIR/NAME/N/model.onnx')
    .option('--version <N>', 'version; from 2 on, only the version is added and the mesh file stays', '1')
    .option('--dir <DIR>', 'folder of models', 'models')
    .option('--labels <LIST>', 'names of the classes, in the order of the output, separated by commas')
    .option(
      '--size <NAME=N>',
      'size of a dynamic dimension in the golden input; may be repeated',
      collect,
      [],
    )
    .option('--json', 'print JSON')
    .action(async (name: string, options: Omit<InitOptions, 'name'>) => {
      const { initCommand } = await import('./own-model/init.js');
      done(await initCommand({ name, ...options }));
    });
  program
    .command('golden')
    .description(
      'run a model on your inputs, and write them and its answer into the block `golden` of its model.yaml',
    )
    .argument('<DIR>', 'folder of the model, or of one version')
    .option(
      '--input <NAME=VALUE>',
      'as for `infer`; other inputs keep their golden values; without any, only the answer is renewed',
      collect,
      [],
    )
    .option('--json', 'print JSON')
    .action(async (directory: string, { input, ...options }: { input: string[]; json?: true }) => {
      const { goldenCommand } = await import('./own-model/golden.js');
      done(await goldenCommand({ directory, inputs: input, ...options }));
    });
  program
    .command('infer')
    .description('ask a model: run one inference')
    .argument('<MODEL>', 'name of the model')
    .option(
      '--input <NAME=VALUE>',
      'NAME=VALUE, NAME=@FILE or @FILE; once for each input; several of one name make a batch',
      collect,
      [],
    )
    .option(
      '--target <ADDR>',
      'call this address, HOST:PORT or unix:PATH, instead of a mesh that `up` runs here',
    )
    .option('--mesh <FILE>', MESH)
    .option('--deadline <DURATION>', 'deadline of the whole command, such as 500ms; default: 15s')
    .option('--model-version <VERSION>', 'version of the model; default: the server picks one')
    .option('--metadata <KEY=VALUE>', 'request metadata; may be repeated', collect, [])
    .option(
      '--stream',
      'use ModelStreamInfer, and print each response as it comes, such as text token by token',
    )
    .option('--json', 'print JSON with every output; with --stream, one line for each response')
    .action(async (model: string, options: InferFlags) => {
      const { inferFlags } = await import('./infer/flags.js');
      const { inferCommand } = await import('./infer/infer.js');
      done(await inferCommand(inferFlags(model, options)));
    });
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
