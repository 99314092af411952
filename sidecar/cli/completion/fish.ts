import type { CompletedCommand } from './command-tree.js';

/** The completion of fish 3, a line for each word, with what it does. */
export function fishCompletion(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap(({ path, subcommands, options, argument }) => {
    const at = condition(
      path,
      subcommands.map(({ text }) => text),
    );
    const words = [
      ...subcommands,
      ...(argument === 'files' ? [] : argument.map((text) => ({ text, does: '' }))),
    ];
    return [
      ...(argument === 'files' ? [] : [`complete -c outrider -n ${at} -f`]),
      ...words.map(({ text, does }) => `complete -c outrider -n ${at} -f -a ${quoted(text)}${doc(does)}`),
      ...options.map(({ text, does, takesValue, choices }) => {
        const value = !takesValue ? '' : choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : ' -r';
        return `complete -c outrider -n ${at} -l ${text.slice(2)}${value}${doc(does)}`;
      }),
    ];
  });
  // \`npx outrider …\` is completed as the line without its first word.
  const npx = `complete -c npx -n '__fish_seen_subcommand_from outrider' -f -a '(complete -C (string replace -r "^\\s*npx\\s+" "" -- (commandline -cp)))'`;
  return `# fish completion of outrider; made by: outrider completion fish\n${lines.join('\n')}\n${npx}\n`;
}

/** True where the line has the words of this command, and none of a command below it. */
function condition(path: string, below: readonly string[]): string {
  const has = path
    .split(' ')
    .filter(Boolean)
    .map((word) => `__fish_seen_subcommand_from ${word}`);
  const not = below.length === 0 ? [] : [`not __fish_seen_subcommand_from ${below.join(' ')}`];
  return quoted([...has, ...not].join('; and ') || 'true');
}

/** The description that fish shows beside a word. */
function doc(does: string): string {
  return does === '' ? '' : ` -d ${quoted(does)}`;
}

/** A word as fish takes it literally: inside single quotes only these two mean something else. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
