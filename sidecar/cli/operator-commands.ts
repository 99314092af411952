import { Argument, type Command } from 'commander';
import { quoted } from '../config/codecs/parse-result.js';
import { present } from '../config/present.js';
import type { AuditVerifyOptions } from './audit/audit-verify.js';
import type { CheckOptions } from './check/check.js';
import { CommandFailure } from './failure.js';
import type { PageOptions } from './page/page.js';
import type { StatusOptions } from './status/status.js';
import type { TapBounds } from './tap/tap-query.js';

/** Options of `tap` as commander reads them. */
interface TapFlags extends TapBounds {
  readonly admin?: string[];
  readonly mesh?: string;
  readonly count?: string;
  readonly json?: boolean;
}

/** Of `--mesh` where a running mesh is meant. */
const MESH = 'mesh file of a mesh that `up` runs here; default: the mesh of this folder';

/** The commands for operators of a running mesh, added to `program`; `done` gets the exit code. */
export function addOperatorCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('status')
    .description('show sidecars, models, endpoints, ejections and latencies')
    .argument('[NAME...]', 'sidecars or services, to show them alone and with their methods')
    .option('--mesh <FILE>', MESH)
    .option('--admin <ADDR...>', 'admin addresses, instead of a mesh that `up` runs here')
    .option('--consul [ADDR]', 'the sidecars in the catalogue of this agent; default: $CONSUL_HTTP_ADDR')
    .option('--watch', 'draw again every second until Ctrl-C, with calls per second')
    .option('--json', 'print JSON')
    .action(async (names: string[], options: Partial<Omit<StatusOptions, 'names'>>) => {
      const { statusCommand } = await import('./status/status.js');
      const { admin = [], watch = false, json = false, mesh, consul } = options;
      const place = { ...present('mesh', mesh), ...present('consul', consul) };
      done(await statusCommand({ names, admin, watch, json, ...place }));
    });
  program
    .command('page')
    .description('serve one page about a whole mesh: services, calls, endpoints, what happened, drain')
    .option('--mesh <FILE>', MESH)
    .option('--admin <ADDR...>', 'admin addresses, instead of a mesh that `up` runs here')
    .option(
      '--consul [ADDR]',
      'the sidecars in the catalogue of this agent: by their admin port where it is reached, else by their metrics (`observe`); default: $CONSUL_HTTP_ADDR',
    )
    .option('--listen <ADDR>', 'where the page is served', '127.0.0.1:8898')
    .option('--token-file <FILE>', 'the token that the admin ports ask for (`admin_token_file`)')
    .option('--json', 'print one JSON object with the address of the page instead of text')
    .action(async (options: Partial<PageOptions> & Pick<PageOptions, 'listen'>) => {
      const { pageCommand } = await import('./page/page.js');
      done(await pageCommand({ admin: [], ...options }));
    });
  program
    .command('check')
    .description('look at all that has to be right for calls to succeed; exit code 1 where something failed')
    .option('--mesh <FILE...>', 'mesh or sidecar files; default: the mesh of this folder that `up` runs')
    .option(
      '--consul [ADDR]',
      'the agent to ask, and without files what is in its catalogue; default: $CONSUL_HTTP_ADDR',
    )
    .option('--admin <ADDR...>', 'admin addresses of sidecars; default: those of running meshes of the files')
    .option('--json', 'print JSON')
    .action(async (options: Partial<CheckOptions>) => {
      const { checkCommand } = await import('./check/check.js');
      const { mesh = [], admin = [], json = false, consul } = options;
      done(await checkCommand({ mesh, admin, json, ...present('consul', consul) }));
    });
  program
    .command('tap')
    .description('show calls as they end, with their attempts, from all sidecars of a mesh')
    .argument(
      '[FILTER...]',
      'upstream=NAME, method=TEXT, model=NAME, status=CODE, reason=NAME, slow=100ms, failed, inbound, outbound; all must fit',
    )
    .option('--mesh <FILE>', MESH)
    .option('--admin <ADDR...>', 'admin addresses, instead of a mesh that `up` runs here')
    .option('--sample <RATIO>', 'share of the calls that fit; default 1')
    .option('--rate <N>', 'calls per second of each sidecar at most; further ones are counted; default 50')
    .option('--count <N>', 'end after so many calls')
    .option('--json', 'print a JSON object for each call')
    .action(async (words: string[], options: TapFlags) => {
      const { tapCommand } = await import('./tap/tap.js');
      const { admin = [], json = false, count, ...bounds } = options;
      if (count !== undefined && !/^[1-9]\d{0,8}$/.test(count))
        throw new CommandFailure(`--count: found ${quoted(count)}; expected a whole number above 0`, 2);
      done(await tapCommand(words, { ...bounds, admin, json, count: Number(count ?? 0) }));
    });
  program
    .command('explain')
    .description('explain an `outrider-reason` and what to do; without one, list all')
    .argument('[REASON...]', 'also a gRPC status, or the output of a check in Consul')
    .option('--json', 'print JSON')
    .action(async (words: string[], { json = false }: { json?: boolean }) => {
      const { explainCommand } = await import('./explain/explain.js');
      done(explainCommand(words, { json }));
    });
  program
    .command('completion')
    .description('print the completion of a shell; for example: source <(outrider completion bash)')
    .addArgument(new Argument('<SHELL>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionCommand } = await import('./completion/completion.js');
      done(completionCommand(shell, program));
    });
  program
    .command('validate')
    .description('check mesh files and sidecar files')
    .argument('<FILE...>', 'files to check')
    .option(
      '--consul [ADDR]',
      'also warn of rules in Consul that are not applied to what the files call; default: the agent of each file',
    )
    .option('--json', 'print JSON')
    .action(async (files: string[], { json = false, consul }: { json?: boolean; consul?: string | true }) => {
      const { validateCommand } = await import('./validate.js');
      const { consulNotes } = await import('./check/consul-notes.js');
      const notes = consul === undefined ? undefined : await consulNotes(files, consul);
      done(validateCommand(files, { json, ...present('notes', notes) }));
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
      '--id <ID>',
      'SPIFFE id that has to have signed, with --roots; SIDECAR=ID for each of several logs; may be repeated',
      (value: string, before: readonly string[] = []) => [...before, value],
    )
    .option(
      '--seen <HEAD>',
      'an end of the chain that was seen elsewhere: N:HASH, or the value of `outrider/audit/INSTANCE` in Consul',
    )
    .option('--json', 'print JSON')
    .action(async (files: string[], options: AuditVerifyOptions) => {
      const { auditVerifyCommand } = await import('./audit/audit-verify.js');
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
