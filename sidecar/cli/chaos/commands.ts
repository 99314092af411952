import { type Command, Option } from 'commander';
import type { ChaosOptions } from './chaos.js';
import { runCount } from './options.js';

/** `outrider chaos`, and the hidden command that its models are processes of; `done` gets the exit code. */
export function addChaosCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('chaos')
    .description('break a mesh on purpose, with and without Outrider, and report what callers noticed')
    .argument('[DRILL...]', 'which drills; default: the standard set of ten')
    .option(
      '--mesh [WHERE]',
      'drills on a mesh that runs already and allows them (`fault_injection`): its file, or admin addresses; default: the one of `up`',
    )
    .option('--service <NAME>', 'with --mesh: whose replicas')
    .option('--model <NAME>', 'with --mesh: whose golden input is sent; default: the first')
    .option('--rate <N>', 'with --mesh: calls a second, at most 200; default 20')
    .option(
      '--least-available <RATIO>',
      'with --mesh: stop if less than this share of the calls in 2 s succeeds; default 0.5',
    )
    .option('--token-file <FILE>', 'with --mesh: the token that the admin ports ask for (`admin_token_file`)')
    .option('--full', 'all drills')
    .option('--arms <LIST>', 'arms, separated by commas; default: all that can be run here')
    // Hidden: for the choice of the setting that the arm has, and for a look at the others.
    .addOption(new Option('--envoy-variant <NAME>', 'another setting of the arm with Envoy').hideHelp())
    .option('--list', 'list the drills and the arms, and end')
    .option('--quick', 'short drills: a look, not a measurement')
    .option(
      '--runs <N>',
      'run each drill N times, from 1 to 20, and judge by medians and spread; default: 1',
      runCount,
    )
    .option('--json', 'print JSON')
    .option(
      '--report <DIR>',
      'write a page, the history of every call, figures (JSON, CSV) and pictures there',
    )
    .option('--render <FILE>', 'run nothing: make the report again from a history.json')
    .action(
      async (scenarios: string[], options: Omit<ChaosOptions, 'scenarios' | 'arms'> & { arms?: string }) => {
        const { chaosCommand } = await import('./chaos.js');
        const { arms, ...rest } = options;
        done(
          await chaosCommand({
            scenarios,
            ...rest,
            ...(arms !== undefined && { arms: arms.split(',').map((name) => name.trim()) }),
          }),
        );
      },
    );
  // Hidden: nothing but a run of `outrider chaos` has a use for it.
  program
    .command('chaos-model', { hidden: true })
    .description('one model process of `outrider chaos`, which starts it')
    .requiredOption('--dir <DIR>', 'folder of the run')
    .requiredOption('--replica <N>', 'from 1')
    .requiredOption('--listen <ADDR>', 'HOST:PORT')
    .action(async (options: { dir: string; replica: string; listen: string }) => {
      const { modelCommand } = await import('./models/model-command.js');
      await modelCommand(options);
    });
}
