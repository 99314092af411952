import type { Command } from 'commander';
import type { ChaosOptions } from './chaos.js';
import { runCount } from './options.js';

/** `outrider chaos`, and the hidden command that its models are processes of; `done` gets the exit code. */
export function addChaosCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('chaos')
    .description('break a mesh on purpose, with and without Outrider, and report what callers noticed')
    .argument('[SCENARIO...]', 'what to break, see --list; default: the ten standard scenarios')
    .option(
      '--mesh [WHERE]',
      'break a running mesh that allows it (`fault_injection`): its file or admin addresses; default: the mesh that `up` runs here',
    )
    .option('--service <NAME>', 'with --mesh: service whose replicas are broken')
    .option('--model <NAME>', 'with --mesh: model whose golden input is sent; default: the first')
    .option('--rate <N>', 'with --mesh: calls per second, at most 200; default: 20')
    .option(
      '--least-available <RATIO>',
      'with --mesh: stop if less than this share of the calls succeeds for 2 s; default: 0.5',
    )
    .option('--token-file <FILE>', 'with --mesh: file with the token of the admin ports (`admin_token_file`)')
    .option('--full', 'all scenarios')
    .option('--setups <LIST>', 'setups to compare, separated by commas; default: all that can run here')
    .option('--list', 'list the scenarios and the setups')
    .option('--quick', 'short runs: a look, not a measurement')
    .option(
      '--runs <N>',
      'run each scenario N times, at most 20, and judge by median and spread; default: 1',
      runCount,
    )
    .option('--json', 'print JSON')
    .option(
      '--report <DIR>',
      'write a page with pictures, figures (JSON, CSV) and the history of every call there',
    )
    .option('--render <FILE>', 'make the report again from a history.json, without a run')
    .action(
      async (
        scenarios: string[],
        options: Omit<ChaosOptions, 'scenarios' | 'arms'> & { setups?: string },
      ) => {
        const { chaosCommand } = await import('./chaos.js');
        const { setups, ...rest } = options;
        done(
          await chaosCommand({
            scenarios,
            ...rest,
            ...(setups !== undefined && { arms: setups.split(',').map((name) => name.trim()) }),
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
