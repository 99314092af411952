/** The part of commander's Command that completion reads; the type is commander's own, structurally. */
export interface CommandLike {
  name(): string;
  description(): string;
  readonly commands: readonly CommandLike[];
  /** Knows which commands are shown in the help. */
  createHelp(): { visibleCommands(command: never): readonly { name(): string }[] };
  readonly options: readonly OptionLike[];
  readonly registeredArguments: readonly { name(): string }[];
}

/** One option as commander has it. */
interface OptionLike {
  readonly long?: string | undefined;
  readonly short?: string | undefined;
  readonly description: string;
  readonly hidden: boolean;
  readonly argChoices?: readonly string[] | undefined;
  /** It takes a value, which must follow, or may. */
  readonly required: boolean;
  readonly optional: boolean;
}

/** A word that completes, with what it does. */
export interface Word {
  readonly text: string;
  readonly does: string;
}

/** What may follow a command. */
export interface CompletedCommand {
  /** `audit verify`; empty: the program itself. */
  readonly path: string;
  readonly subcommands: readonly Word[];
  readonly options: readonly (Word & {
    readonly takesValue: boolean;
    /** Values that it takes; empty: any, a file most likely. */
    readonly choices: readonly string[];
  })[];
  /** Words that its first argument may be; `files`: any path; empty: it has none. */
  readonly argument: 'files' | readonly string[];
}

/** Commander adds it to every command by itself, outside of `options`. */
const HELP = { text: '--help', does: 'print this help', takesValue: false, choices: [] };

/** Every command of the program, from the program itself on, with what may follow it. */
export function completedCommands(
  program: CommandLike,
  words: Readonly<Record<string, readonly string[]>>,
): CompletedCommand[] {
  const walk = (command: CommandLike, path: string): CompletedCommand[] => [
    {
      path,
      subcommands: shownOf(command).map((each) => ({ text: each.name(), does: each.description() })),
      options: [...optionsOf(command), HELP],
      argument: words[path] ?? (command.registeredArguments.length > 0 ? 'files' : []),
    },
    ...shownOf(command).flatMap((each) => walk(each, path === '' ? each.name() : `${path} ${each.name()}`)),
  ];
  return walk(program, '');
}

/** Commands that are hidden from the help are for programs. */
function shownOf(command: CommandLike): readonly CommandLike[] {
  const shown = command
    .createHelp()
    .visibleCommands(command as never)
    .map((each) => each.name());
  return command.commands.filter((each) => shown.includes(each.name()));
}

/** Options by their long names; those that are hidden from the help are for programs. */
function optionsOf({ options }: CommandLike): CompletedCommand['options'] {
  return options
    .filter(({ hidden, long }) => !hidden && long !== undefined)
    .map(({ long = '', description: does, required, optional, argChoices: choices = [] }) => {
      const takesValue = required || optional;
      return { text: long, does, takesValue, choices };
    });
}
