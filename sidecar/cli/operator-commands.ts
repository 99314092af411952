import type { Command } from 'commander';
import { present } from '../config/present.js';
import type { CheckOptions } from './check/check.js';
import type { StatusOptions } from './status/status.js';

/** The commands that look at a mesh and change nothing, added to `program`; `done` gets the exit code. */
export function addOperatorCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('status')
    .description('show sidecars, models, endpoints, ejections and latencies')
    .argument('[NAME...]', 'sidecars or services, to show them alone and with their methods')
    .option('--admin <ADDR...>', 'admin addresses; default: every mesh that `up` runs on this machine')
    .option('--consul [ADDR]', 'the sidecars in the catalogue of this agent; default: $CONSUL_HTTP_ADDR')
    .option('--watch', 'draw again every second until Ctrl-C, with calls per second')
    .option('--json', 'print JSON')
    .action(async (names: string[], options: Partial<Omit<StatusOptions, 'names'>>) => {
      const { statusCommand } = await import('./status/status.js');
      const { admin = [], watch = false, json = false, consul } = options;
      done(await statusCommand({ names, admin, watch, json, ...present('consul', consul) }));
    });
  program
    .command('check')
    .description('look at all that has to be right for calls to succeed; exit code 1 where something failed')
    .option('--mesh <FILE...>', 'mesh or sidecar files; default: those of the meshes that `up` runs here')
    .option(
      '--consul [ADDR]',
      'the agent to ask, and without files what is in its catalogue; default: $CONSUL_HTTP_ADDR',
    )
    .option('--admin <ADDR...>', 'admin addresses of sidecars; default: those that `up` runs here')
    .option('--json', 'print JSON')
    .action(async (options: Partial<CheckOptions>) => {
      const { checkCommand } = await import('./check/check.js');
      const { mesh = [], admin = [], json = false, consul } = options;
      done(await checkCommand({ mesh, admin, json, ...present('consul', consul) }));
    });
  program
    .command('explain')
    .description('say what an `outrider-reason` means, and what to do; without one, list all')
    .argument('[REASON...]', 'also a gRPC status, or the output of a check in Consul')
    .option('--json', 'print JSON')
    .action(async (words: string[], { json = false }: { json?: boolean }) => {
      const { explainCommand } = await import('./explain/explain.js');
      done(explainCommand(words, { json }));
    });
  program
    .command('validate')
    .description('check mesh files and sidecar files')
    .argument('<FILE...>', 'files to check')
    .option('--json', 'print JSON')
    .action(async (files: string[], options: { json?: true }) => {
      const { validateCommand } = await import('./validate.js');
      done(await validateCommand(files, { json: options.json === true }));
    });
  program
    .command('audit')
    .description('audit logs of sidecars')
    .command('verify')
    .description(
      'check that no line of an audit log was changed, removed or moved; exit code 1 where one was',
    )
    .argument('<FILE...>', 'the log and its older files, in any order')
    .option(
      '--roots <FILE>',
      'PEM file with the roots that the certificates of the signatures have to come from',
    )
    .option(
      '--seen <HEAD>',
      'an end of the chain that was seen elsewhere: N:HASH, or the value of `outrider/audit/INSTANCE` in Consul',
    )
    .option('--json', 'print JSON')
    .action(async (files: string[], options: { roots?: string; seen?: string; json?: true }) => {
      const { auditVerifyCommand } = await import('./audit-verify.js');
      done(await auditVerifyCommand(files, options));
    });
  program
    .command('bench')
    .description('side-by-side measurements against other proxies; needs a clone')
    .argument('[ARGS...]', 'which measurement, and its options')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (args: string[]) => {
      const { benchCommand } = await import('./bench.js');
      done(await benchCommand(args));
    });
}
