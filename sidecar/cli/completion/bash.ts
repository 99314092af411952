import type { CompletedCommand } from './command-tree.js';

/**
 * The completion of bash 3.2 and later, without the package bash-completion: the words of the line up to the cursor choose the
 * command, an option that takes a value offers its values or files, else options after a dash, else subcommands and words.
 */
export function bashCompletion(commands: readonly CompletedCommand[]): string {
  const cases = commands.map(
    ({ path, subcommands, options, argument }) => `    ${quoted(path)})
      options=${quoted(options.map(({ text }) => text).join(' '))}
      words=${quoted([...subcommands.map(({ text }) => text), ...(argument === 'files' ? [] : argument)].join(' '))}
      files=${argument === 'files' ? 1 : 0}
      ;;`,
  );
  const values = commands.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(
        ({ text, choices }) =>
          `    ${quoted(`${path} ${text}`)}) values=${quoted(choices.join(' '))} takes=1 ;;`,
      ),
  );
  const nested = commands.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  return `# bash completion of outrider; made by: outrider completion bash
_outrider() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="" i word options="" words="" files=0 values="" takes=0
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "\${command:+$command }$word" in
    ${nested.join('|')}) command="\${command:+$command }$word" ;;
    esac
  done
  case "$command $previous" in
${values.join('\n')}
  esac
  case "$command" in
${cases.join('\n')}
  esac
  if [[ $takes == 1 && $current != -* ]]; then
    if [[ -n $values ]]; then COMPREPLY=($(compgen -W "$values" -- "$current")); else COMPREPLY=($(compgen -f -- "$current")); fi
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ $files == 1 ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
  # A value follows at once; bash 3.2 has no compopt.
  [[ \${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -o filenames -F _outrider outrider
# \`npx outrider …\`, unless something else completes npx.
_outrider_npx() {
  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W outrider -- "\${COMP_WORDS[1]}")); return 0; fi
  [[ \${COMP_WORDS[1]} == outrider ]] || return 0
  local COMP_CWORD=$((COMP_CWORD - 1))
  local -a words=("\${COMP_WORDS[@]:1}")
  local -a COMP_WORDS=("\${words[@]}")
  _outrider
}
complete -p npx >/dev/null 2>&1 || complete -o filenames -o default -F _outrider_npx npx
`;
}

/** A word as bash takes it literally. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
