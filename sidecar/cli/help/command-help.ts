import type { Command, Option } from 'commander';

/** Below the list of commands; every command keeps to it. */
const EXIT_CODES = `
Exit codes: 0 success; 1 failure, or a problem was found; 2 wrong command line.
Start with \`outrider up\`. \`outrider COMMAND --help\` has the options of a command.`;

/**
 * How help and mistakes are shown, the same for every command: a mistake names the help of its own command, and an option that
 * may be repeated has no default worth showing. Call it when all commands are there.
 */
export function explainUsage(program: Command): void {
  program.addHelpText('after', EXIT_CODES);
  for (const command of program.commands) nameOwnHelp(command, `outrider ${command.name()}`);
}

/** For `configureHelp`, before the commands are added: they inherit it. An empty list is left out as a default. */
export function optionDescription(option: Option): string {
  const { description, argChoices, defaultValue, defaultValueDescription } = option;
  const isShown = defaultValue !== undefined && !(Array.isArray(defaultValue) && defaultValue.length === 0);
  const notes = [
    // What takes one value has it in its description.
    ...(argChoices === undefined || argChoices.length < 2 ? [] : [`one of ${argChoices.join(', ')}`]),
    ...(isShown ? [`default: ${defaultValueDescription ?? String(defaultValue)}`] : []),
  ];
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`;
}

function nameOwnHelp(command: Command, path: string): void {
  const hasCommands = command.commands.length > 0;
  command.showHelpAfterError(`(${path} --help says how it is used)`);
  if (hasCommands) command.helpCommand('help [COMMAND]', 'print the help of a command');
  for (const inner of command.commands) nameOwnHelp(inner, `${path} ${inner.name()}`);
}
