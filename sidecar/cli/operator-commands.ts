import { Argument, type Command } from 'commander';
import { quoted } from '../config/codecs/parse-result.js';
import { present } from '../config/present.js';
import type { AuditVerifyOptions } from './audit/audit-verify.js';
import type { CheckOptions } from './check/check.js';
import { CommandFailure } from './failure.js';
import { ADMIN, MESH } from './help/mesh-options.js';
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

/** The commands for operators of a running mesh, added to `program`; `done` gets the exit code. */
export function addOperatorCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command('status')
    .description('show sidecars, models, endpoints, ejections and latencies')
    .argument('[NAME...]', 'show only these sidecars or services, with their methods')
    .option('--mesh <FILE>', MESH)
    .option('--admin <ADDR...>', ADMIN)
    .option(
      '--consul [ADDR]',
      'list the sidecars that Consul knows instead; ADDR is the agent; default: $CONSUL_HTTP_ADDR',
    )
    .option('--watch', 'refresh every second until Ctrl-C, with calls per second')
    .option('--json', 'print JSON')
    .action(async (names: string[], options: Partial<Omit<StatusOptions, 'names'>>) => {
      const { statusCommand } = await import('./status/status.js');
      const { admin = [], watch = false, json = false, mesh, consul } = options;
      const place = { ...present('mesh', mesh), ...present('consul', consul) };
      done(await statusCommand({ names, admin, watch, json, ...place }));
    });
  program
    .command('page')
    .description(
      'serve a web page of a whole mesh: services, calls, endpoints, events; replicas can be drained there',
    )
    .option('--mesh <FILE>', MESH)
    .option('--admin <ADDR...>', ADMIN)
    .option(
      '--consul [ADDR]',
      'show the sidecars that Consul knows instead, through their admin ports or, if unreachable, their `observe` ports; ADDR is the agent; default: $CONSUL_HTTP_ADDR',
    )
    .option('--listen <ADDR>', 'address of the page', '127.0.0.1:8898')
    .option(
      '--token-file <FILE>',
      'file with the token of the admin ports (`admin_token_file`); the printed address then has a key, and only it opens the page; as it has for sockets in --admin',
    )
    .option('--json', 'print the address of the page as JSON')
    .action(async (options: Partial<PageOptions> & Pick<PageOptions, 'listen'>) => {
      const { pageCommand } = await import('./page/page.js');
      done(await pageCommand({ admin: [], ...options }));
    });
  program
    .command('check')
    .description(
      'find what makes calls fail: ports, certificates, clocks, Consul, intentions, models, sidecars; exit code 1 if a check fails',
    )
    .option(
      '--mesh <FILE...>',
      'mesh files or sidecar files; default: the mesh of this folder that `up` runs',
    )
    .option(
      '--consul [ADDR]',
      'check Consul too; without --mesh, also the sidecars that it knows; ADDR is the agent; default: $CONSUL_HTTP_ADDR',
    )
    .option('--admin <ADDR...>', 'admin addresses of sidecars; default: those of the mesh that runs')
    .option('--json', 'print JSON')
    .action(async (options: Partial<CheckOptions>) => {
      const { checkCommand } = await import('./check/check.js');
      const { mesh = [], admin = [], json = false, consul } = options;
      done(await checkCommand({ mesh, admin, json, ...present('consul', consul) }));
    });
  program
    .command('tap')
    .description('print calls as they end, with their attempts, from all sidecars of a mesh')
    .argument(
      '[FILTER...]',
      'upstream=NAME, method=TEXT, model=NAME, status=CODE, reason=NAME, slow=100ms, failed, inbound or outbound; a call must match every filter',
    )
    .option('--mesh <FILE>', MESH)
    .option('--admin <ADDR...>', ADMIN)
    .option('--sample <RATIO>', 'share of the matching calls to print, from 0 to 1; default: 1')
    .option('--rate <N>', 'print at most N calls per second and sidecar, and count the others; default: 50')
    .option('--count <N>', 'end after N calls')
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
    .description('explain an `outrider-reason`: causes, where to look, what to do; without one, list all')
    .argument('[REASON...]', 'reason, gRPC status, or the output of a check in Consul')
    .option('--json', 'print JSON')
    .action(async (words: string[], { json = false }: { json?: boolean }) => {
      const { explainCommand } = await import('./explain/explain.js');
      done(explainCommand(words, { json }));
    });
  program
    .command('completion')
    .description('print a completion script; for example: source <(outrider completion bash)')
    .addArgument(new Argument('<SHELL>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionCommand } = await import('./completion/completion.js');
      done(completionCommand(shell, program));
    });
  program
    .command('validate')
    .description('check mesh files and sidecar files, without running them')
    .argument('<FILE...>', 'files to check')
    .option(
      '--consul [ADDR]',
      'also list rules in Consul that sidecars of these files do not apply; ADDR is the agent; default: that of each file',
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
    .description('verify audit logs')
    .command('verify')
    .description('check that no line of an audit log was changed, removed or moved; exit code 1 if one was')
    .argument('<FILE...>', 'the log and its rotated files, in any order')
    .option('--roots <FILE>', 'PEM file of the authorities that may have issued the signing certificates')
    .option(
      '--id <ID>',
      'SPIFFE id that must have signed, with --roots; for several logs SIDECAR=ID; may be repeated',
      (value: string, before: readonly string[] = []) => [...before, value],
    )
    .option(
      '--seen <HEAD>',
      'a chain head that was stored elsewhere: N:HASH, or the value of `outrider/audit/SERVICE/INSTANCE` in Consul',
    )
    .option('--json', 'print JSON')
    .action(async (files: string[], options: AuditVerifyOptions) => {
      const { auditVerifyCommand } = await import('./audit/audit-verify.js');
      done(await auditVerifyCommand(files, options));
    });
}
