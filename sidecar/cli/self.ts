import { fileURLToPath } from 'node:url';
import { HELPERS_FLAG, MODEL_V8_FLAGS, YOUNG_HEAP_FLAG } from '../runtime/process/v8-tuning.js';

const OWN = [YOUNG_HEAP_FLAG, HELPERS_FLAG];
const FLAGS = [...process.execArgv, ...OWN.filter((flag) => !process.execArgv.includes(flag))];

/** argv that runs this program, whatever it was called by; a command is appended. */
export const SELF: readonly string[] = [
  process.execPath,
  ...FLAGS,
  fileURLToPath(new URL('../main.js', import.meta.url)),
];

/** argv that runs a command of the program `self` (as `SELF`); `serve`, with the flags of a model process. */
export function commandOf(self: readonly string[], args: readonly string[]): readonly string[] {
  if (args[0] !== 'serve') return [...self, ...args];
  return [...self.slice(0, -1), ...MODEL_V8_FLAGS, ...self.slice(-1), ...args];
}
