import { fileURLToPath } from 'node:url';
import { YOUNG_HEAP_FLAG } from '../runtime/process/v8-tuning.js';

const FLAGS = process.execArgv.includes(YOUNG_HEAP_FLAG)
  ? process.execArgv
  : [...process.execArgv, YOUNG_HEAP_FLAG];

/** `.ts` when the sources themselves run, as in tests. */
const ENTRY = import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js';

/** argv that runs this program, whatever it was called by; a command is appended. */
export const SELF: readonly string[] = [
  process.execPath,
  ...FLAGS,
  fileURLToPath(new URL(ENTRY, import.meta.url)),
];
