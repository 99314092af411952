import { Command, CommanderError, Option } from 'commander';
import { DEFAULT_DATACENTER, DEFAULT_TRUST_DOMAIN } from '../config/defaults.js';
import type { CertsOptions } from './certs.js';
import { addChaosCommands } from './chaos/commands.js';
import { addDeployCommands } from './deploy/commands.js';
import { CommandFailure, oneLine } from './failure.js';
import { explainUsage, optionDescription } from './help/command-help.js';
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
  const consul = new Option('--consul <KIND>', 'dev: start a Consul agent beside the mesh and run on it');
  program
    .command('up')
    .description('run a whole mesh on this machine until Ctrl-C')
    .argument('[FILE]', 'mesh file; default: mesh-config/demo.yaml, here or as it came with the program')
    .addOption(consul.choices(['dev']))
    .addOption(
      new Option('--ports <HOW>', 'free: replace a port of the file that is taken by a free one').choices([
        'free',
      ]),
    )
    .option('--json', 'print one JSON object per event instead of text')
    .action(async (file: string | undefined, options: { json?: true; consul?: 'dev'; ports?: 'free' }) => {
      const { upCommand } = await import('./up/up.js');
      const { ports, ...rest } = options;
      const place = file ?? packageFile('mesh-config/demo.yaml');
      done(await upCommand(place, { json: false, freePorts: ports === 'free', ...rest }));
    });
  program
    .command('sidecar')
    .description('run one sidecar; with a command, it starts, watches and restarts that model service')
    .requiredOption('-c, --config <FILE>', 'sidecar file')
    .option('--takeover', 'replace the running sidecar of this file by a new process, without losing calls')
    .argument(
      '[COMMAND...]',
      'after --: the model service; {socket} stands for the address it must listen on',
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
    .description('make certificates for sidecars with `identity` files')
    .argument('<SERVICE...>', 'services that trust each other, callers included')
    .option('--out <DIR>', 'where to write SERVICE.crt, SERVICE.key and roots.crt', 'certs')
    .option('--trust-domain <NAME>', 'as in the files of the sidecars', DEFAULT_TRUST_DOMAIN)
    .option('--datacenter <NAME>', 'as in the files of the sidecars', DEFAULT_DATACENTER)
    .option('--days <N>', 'how long they are valid', '365')
    .option('--json', 'print JSON')
    .action(async (services: string[], options: Omit<CertsOptions, 'days'> & { days: string }) => {
      const { certsCommand } = await import('./certs.js');
      done(await certsCommand(services, { ...options, days: Number(options.days) }));
    });
}

function addModelCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('serve')
    .description('run one model service')
    .requiredOption('--models <DIR>', 'folder of models: DIR/<name>/<version>/model.onnx')
    .option('--model <NAME>', 'serve this model of the folder only; may be repeated', collect, [])
    .option(
      '--listen <ADDR>',
      'where to listen: HOST:PORT or unix:PATH; default: $OUTRIDER_MODEL_LISTEN or 127.0.0.1:8001',
    )
    .option(
      '--rest <ADDR>',
      'serve the REST half of the protocol as well: HOST:PORT or unix:PATH; default: it is not served',
    )
    .option(
      '--rest-host <NAME>',
      'a host name for the REST half, beside IP addresses and localhost; may be repeated',
      collect,
      [],
    )
    .option(
      '--control <MODE>',
      "explicit: models are loaded and unloaded on command, as with Triton's --model-control-mode; default: none",
    )
    .option('--memory-budget <SIZE>', 'what calls may hold, such as 512MiB; default: 1GiB')
    .option('--golden', 'print the block `golden` for model.yaml, by running each model once, and end')
    .option('--json', 'print one JSON object per event on standard output; with --golden, for each model')
    .addOption(new Option('--exit-with-stdin', 'end when standard input ends').hideHelp())
    .action(async (options: ServeOptions) => {
      const { serveCommand } = await import('./serve.js');
      done(await serveCommand(options));
    });
  program
    .command('init')
    .description('add your own ONNX file: write its model.yaml and a mesh file')
    .argument('<NAME>', 'name of the model and of its service')
    .requiredOption('--model <FILE>', 'the ONNX file; it is copied to DIR/NAME/N/model.onnx')
    .option('--version <N>', 'the version; above 1 it goes beside the others, and the mesh file stays', '1')
    .option('--dir <DIR>', 'folder of models', 'models')
    .option('--labels <LIST>', 'names of the classes, separated by commas')
    .option('--size <NAME=N>', 'size of a named dimension for the golden input; may be repeated', collect, [])
    .option('--json', 'print JSON')
    .action(async (name: string, options: Omit<InitOptions, 'name'>) => {
      const { initCommand } = await import('./own-model/init.js');
      done(await initCommand({ name, ...options }));
    });
  program
    .command('golden')
    .description('renew the golden block of a model.yaml with your own inputs')
    .argument('<DIR>', 'folder of the model.yaml, or of its model')
    .requiredOption(
      '--input <NAME=VALUE>',
      'as for `infer`; inputs that are not given keep their golden values',
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
    .description('run one inference')
    .argument('<MODEL>', 'name of the model')
    .option(
      '--input <NAME=VALUE>',
      'NAME=VALUE, NAME=@FILE or @FILE, for each input; several of one name are a batch',
      collect,
      [],
    )
    .option('--target <ADDR>', 'HOST:PORT or unix:PATH; default: the mesh of this folder that `up` runs')
    .option('--deadline <DURATION>', 'for all calls together, such as 500ms; default 15s')
    .option('--model-version <VERSION>', 'default: the one the server picks')
    .option('--metadata <KEY=VALUE>', 'request metadata; may be given more than once', collect, [])
    .option('--stream', 'print each answer as it comes: ModelStreamInfer, such as text token by token')
    .option('--json', 'print JSON; with --stream, a line for each answer')
    .action(async (model: string, options: InferFlags) => {
      const { inferFlags } = await import('./infer/flags.js');
      const { inferCommand } = await import('./infer/infer.js');
      done(await inferCommand(inferFlags(model, options)));
    });
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
