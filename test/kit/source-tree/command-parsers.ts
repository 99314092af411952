/** Command lines of documents, read by the parser of the program that they call; nothing is run. */
import { type Command, CommanderError } from 'commander';
import { ARMS } from '../../../sidecar/cli/chaos/arms/table.js';
import { DRILLS } from '../../../sidecar/cli/chaos/drills/table.js';
import { named } from '../../../sidecar/cli/chaos/options.js';
import { lookUp } from '../../../sidecar/cli/explain/lookup.js';
import { build } from '../../../sidecar/cli/program.js';
import { type TapBounds, tapQuery } from '../../../sidecar/cli/tap/tap-query.js';
import { HelpRequested } from '../process/command-line.js';

/** What reads the words after `--` of a script of package.json, and throws for what it does not take; by the name of the script. */
export type ScriptReaders = Readonly<Record<string, (args: readonly string[]) => unknown>>;

/** What a document leaves out where it names a command and does not show how it is typed. */
const LEFT_OUT = /missingArgument|missingMandatoryOptionValue|optionMissingArgument/;

/** Words of a command line as a shell makes them, without quotes, up to what is redirected. */
export function shellWords(line: string): string[] {
  const words = [...line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'),
  );
  const redirected = words.findIndex((word) => /^\d?[<>]/.test(word));
  return redirected < 0 ? words : words.slice(0, redirected);
}

/** Whether a command line is typed as it stands, or a text names a command with some of its words. */
export type Form = 'typed' | 'named';

/** What the program of a command line says against it; undefined where it takes it, or where the program is none of ours. */
export function refusalOf(line: string, form: Form, scripts: ScriptReaders): string | undefined {
  const words = shellWords(line).filter((word) => word !== 'npx');
  const [program, ...args] = words;
  if (program === 'outrider') return refusalByOutrider(args, form);
  const at = args.indexOf('--');
  if (program !== 'npm' || at < 0) return undefined;
  const [, script = ''] = args.filter((word) => word !== '-s');
  return refusalBy(() => scripts[script]?.(args.slice(at + 1)));
}

function refusalByOutrider(args: readonly string[], form: Form): string | undefined {
  const program = build(() => {}).configureOutput(SILENT);
  for (const command of program.commands) onlyRead(command);
  return refusalBy(() => program.parse(args, { from: 'user' }), form);
}

const SILENT = { writeOut: () => {}, writeErr: () => {} };

/** Takes from a command what it does, and leaves it the judgement of its words. */
function onlyRead(command: Command): void {
  command.configureOutput(SILENT);
  const judge = JUDGES[command.name()];
  command.action((words: string[], options: Record<string, string>) => judge?.(words, options));
  for (const part of command.commands) onlyRead(part);
}

const JUDGES: Readonly<Record<string, (words: string[], options: Record<string, string>) => void>> = {
  chaos: (scenarios, { setups }) => {
    named(DRILLS, scenarios, 'scenario');
    named(ARMS, setups?.split(',') ?? [], 'setup');
  },
  explain: (words) => {
    if (words.length > 0 && lookUp(words.join(' ')).kind === 'unknown')
      throw new Error(`nothing is known of ${words.join(' ')}`);
  },
  tap: (words, options: TapBounds) => void tapQuery(words, options),
};

function refusalBy(read: () => unknown, form: Form = 'typed'): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // help, version
    const isAsked =
      error instanceof HelpRequested || (error instanceof CommanderError && error.exitCode === 0);
    const isLeftOut = error instanceof CommanderError && form === 'named' && LEFT_OUT.test(error.code);
    return isAsked || isLeftOut ? undefined : error.message;
  }
}
