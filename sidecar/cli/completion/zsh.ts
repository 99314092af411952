import type { CompletedCommand } from './command-tree.js';

/** The completion of zsh, with what each word does beside it. It works as a file in `fpath` and by `source`. */
export function zshCompletion(commands: readonly CompletedCommand[]): string {
  const nested = commands.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  const cases = commands.map(({ path, subcommands, options, argument }) => {
    const words = [
      ...subcommands,
      ...(argument === 'files' ? [] : argument.map((text) => ({ text, does: '' }))),
    ];
    return `    ${quoted(path)})
      options=(${options.map(described).join(' ')})
      words_=(${words.map(described).join(' ')})
      files=${argument === 'files' ? 1 : 0}
      ;;`;
  });
  const values = commands.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(
        ({ text, choices }) =>
          `    ${quoted(`${path} ${text}`)}) takes=1; values=(${choices.map(quoted).join(' ')}) ;;`,
      ),
  );
  return `#compdef outrider
# zsh completion of outrider; made by: outrider completion zsh
_outrider() {
  local command="" word takes=0 files=0 i
  local -a options words_ values
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    case "\${command:+$command }$word" in
    ${nested.join('|')}) command="\${command:+$command }$word" ;;
    esac
  done
  case "$command \${words[CURRENT-1]}" in
${values.join('\n')}
  esac
  case "$command" in
${cases.join('\n')}
  esac
  if [[ $takes == 1 && \${words[CURRENT]} != -* ]]; then
    if (( \${#values} )); then compadd -a values; else _files; fi
  elif [[ \${words[CURRENT]} == -* ]]; then
    _describe option options
  else
    (( \${#words_} )) && _describe command words_
    [[ $files == 1 ]] && _files
  fi
}
# \`npx outrider …\`, unless something else completes npx.
_outrider_npx() {
  if (( CURRENT == 2 )); then compadd outrider; return; fi
  if [[ \${words[2]} != outrider ]]; then _files; return; fi
  shift words
  (( CURRENT-- ))
  _outrider
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _outrider "$@"; else compdef _outrider outrider; fi
(( \${+_comps[npx]} )) || compdef _outrider_npx npx 2>/dev/null
`;
}

/** `word:what it does`, in which a colon is escaped. */
function described({ text, does }: { readonly text: string; readonly does: string }): string {
  return quoted(`${text.replaceAll(':', '\\:')}${does === '' ? '' : `:${does.replaceAll(':', '\\:')}`}`);
}

/** A word as zsh takes it literally. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
