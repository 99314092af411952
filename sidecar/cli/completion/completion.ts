import { REASON_NAMES } from '../explain/lookup.js';
import { bashCompletion } from './bash.js';
import { type CommandLike, completedCommands } from './command-tree.js';
import { fishCompletion } from './fish.js';
import { zshCompletion } from './zsh.js';

/** Shells for which there is a completion. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** First arguments that are words and no files. */
const WORDS = {
  completion: SHELLS,
  explain: REASON_NAMES,
  infer: [],
  status: [],
  tap: ['upstream=', 'method=', 'model=', 'status=', 'reason=', 'slow=', 'failed', 'inbound', 'outbound'],
};

/**
 * `outrider completion SHELL`: prints the script that completes the commands and options of this program, made from the program
 * itself.
 */
export function completionCommand(shell: (typeof SHELLS)[number], program: CommandLike): number {
  const write = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }[shell];
  process.stdout.write(write(completedCommands(program, WORDS)));
  return 0;
}
