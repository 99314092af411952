/**
 * The command line: which commands exist, what they take, and how their answer becomes an exit code.
 *
 * The only importer of commander. Commands are loaded when they are called, so that one does not pay for the
 * others: a sidecar starts without the model runtime, and `--version` starts almost nothing.
 */

import { Command, CommanderError, Option } from 'commander';
import { CommandFailure, oneLine } from './failure.js';
import { packageVersion } from './version.js';

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Runs one command; resolves with the exit code and never rejects. */
export async function runProgram(args: readonly string[]): Promise<number> {
  let exitCode = EXIT_OK;
  const program = build((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE; // commander has said why
    process.stderr.write(`outrider: ${oneLine(error)}\n`);
    if (process.env['OUTRIDER_DEBUG'] === '1' && error instanceof Error)
      process.stderr.write(`${error.stack}\n`);
    return error instanceof CommandFailure ? error.exitCode : EXIT_FAILED;
  }
}

function build(done: (exitCode: number) => void): Command {
  const program = new Command('outrider');
  program
    .description('A service mesh for machine-learning models.')
    .version(packageVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError('(outrider --help lists the commands)')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'outrider: ')) })
    .action(() => program.help({ error: true }));
  addMeshCommands(program, done);
  addModelCommands(program, done);
  addReportCommands(program, done);
  return program;
}

function addMeshCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('up')
    .description('run a whole mesh on this machine until Ctrl-C')
    .argument('[FILE]', 'mesh file', 'mesh-config/demo.yaml')
    .option('--json', 'print one JSON object per event instead of text')
    .action(async (file: string, options: { json?: true }) => {
      const { upCommand } = await import('./up.js');
      done(await upCommand(file, { json: options.json === true }));
    });
  program
    .command('sidecar')
    .description('run one sidecar; with a command, it starts, watches and restarts that model service')
    .requiredOption('-c, --config <FILE>', 'sidecar file')
    .argument(
      '[COMMAND...]',
      'after --: the model service; {socket} stands for the address it must listen on',
    )
    .usage('-c FILE [-- COMMAND…]')
    .action(async (command: string[], options: { config: string }) => {
      const { sidecarCommand } = await import('./sidecar.js');
      done(await sidecarCommand(options.config, command));
    });
}

function addModelCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('serve')
    .description('run one model service')
    .requiredOption('--models <DIR>', 'folder of models: DIR/<name>/<version>/model.onnx')
    .option(
      '--listen <ADDR>',
      'where to listen: HOST:PORT or unix:PATH; default: $OUTRIDER_MODEL_LISTEN or 127.0.0.1:8001',
    )
    .addOption(new Option('--exit-with-stdin', 'end when standard input ends').hideHelp())
    .action(async (options: { models: string; listen?: string; exitWithStdin?: true }) => {
      const { serveCommand } = await import('./serve.js');
      done(await serveCommand(options));
    });
}

function addReportCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('status')
    .description('show upstreams, endpoints, ejections and latencies')
    .option('--admin <ADDR...>', 'admin addresses; default: every mesh that `up` runs on this machine')
    .option('--watch', 'draw again every second until Ctrl-C')
    .option('--json', 'print JSON')
    .action(async (options: { admin?: string[]; watch?: true; json?: true }) => {
      const { statusCommand } = await import('./status.js');
      done(
        await statusCommand({
          admin: options.admin ?? [],
          watch: options.watch === true,
          json: options.json === true,
        }),
      );
    });
}
