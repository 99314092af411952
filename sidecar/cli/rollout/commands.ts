import type { Command } from 'commander';
import { quoted } from '../../config/codecs/parse-result.js';
import { present } from '../../config/present.js';
import { didYouMean } from '../../config/suggest.js';
import { CommandFailure } from '../failure.js';
import { ADMIN, MESH } from '../help/mesh-options.js';

/** `outrider rollout` and what belongs to it; `done` gets the exit code. */
export function addRolloutCommands(program: Command, done: (exitCode: number) => void): void {
  interface Place {
    readonly admin?: string[];
    readonly mesh?: string;
    readonly json?: true;
  }
  const placeOf = (service: string, { admin = [], mesh, json }: Place) => ({
    ...{ service, admin, json: json === true },
    ...present('mesh', mesh),
  });
  const rollout = program.command('rollout').description('roll out a version of a model, replica by replica');
  rollout
    // What follows `status` is no option of `rollout`.
    .enablePositionalOptions()
    .usage('SERVICE --model M --version N [options]')
    .argument('<SERVICE>', 'service of the model; its block needs `rollout`')
    // What is there too many is most likely a command that is misspelt.
    .allowExcessArguments(true)
    .option('--model <NAME>', 'name of the model')
    .option('--version <N>', 'the new version, as its folder is called')
    .option('--canary <SHARE>', 'share of the calls for the new version at first, such as 5%')
    .option('--window <DURATION>', 'how long to watch the calls after each change, such as 30s')
    .option('--detach', 'return as soon as the rollout has begun')
    .option('--mesh <FILE>', MESH)
    .option('--admin <ADDR...>', ADMIN)
    .option('--json', 'print JSON at the end')
    .action(
      async (
        service: string,
        options: Place & {
          model?: string;
          version?: string;
          canary?: string;
          window?: string;
          detach?: true;
        },
      ) => {
        requireOne(rollout);
        const { model, version } = options;
        if (model === undefined || version === undefined)
          throw new CommandFailure(
            `found no --${model === undefined ? 'model' : 'version'}; expected outrider rollout SERVICE --model M --version N`,
            2,
          );
        const { rolloutCommand } = await import('./rollout.js');
        done(
          await rolloutCommand({ detach: false, ...options, model, version, ...placeOf(service, options) }),
        );
      },
    );
  rollout
    .command('status')
    .description('show the current rollout, or the last one')
    .argument('<SERVICE>', 'the service')
    .option('--mesh <FILE>', MESH)
    .option('--admin <ADDR...>', ADMIN)
    .option('--json', 'print JSON')
    .action(async (service: string, options: Place) => {
      const { rolloutStatusCommand } = await import('./rollout.js');
      done(await rolloutStatusCommand(placeOf(service, options)));
    });
  const changes = {
    pause: 'pause the rollout after the current step',
    resume: 'continue a paused rollout',
    abort: 'go back to the old version at every replica',
  } as const;
  for (const [name, does] of Object.entries(changes))
    rollout
      .command(name)
      .description(does)
      .argument('<SERVICE>', 'the service')
      .option('--mesh <FILE>', MESH)
      .option('--admin <ADDR...>', ADMIN)
      .option('--json', 'print JSON')
      .action(async (service: string, options: Place) => {
        const { rolloutChangeCommand } = await import('./rollout.js');
        done(await rolloutChangeCommand(name as keyof typeof changes, placeOf(service, options)));
      });
}

/** @throws CommandFailure(2) for more than a service: `outrider rollout stauts digits`. */
function requireOne({ args, commands }: Command): void {
  const [word = '', ...more] = args;
  if (more.length === 0) return;
  const names = commands.map((each) => each.name());
  const hint = didYouMean(word, names) || `; expected one SERVICE, or one of ${names.join(', ')}`;
  throw new CommandFailure(`found ${quoted(args.join(' '))}${hint}`, 2);
}
