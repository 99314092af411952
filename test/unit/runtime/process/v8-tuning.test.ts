import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandOf, SELF } from '../../../../sidecar/cli/self.js';
import { HELPERS_FLAG, YOUNG_HEAP_FLAG } from '../../../../sidecar/runtime/process/v8-tuning.js';
import { packageRoot } from '../../../kit/process/package-root.js';

/** How many threads a Node has that is started with these words. */
function threadsOf(words: readonly string[]): number {
  const program = `console.log(require('node:fs').readdirSync('/proc/self/task').length)`;
  return Number(execFileSync(process.execPath, [...words, '-e', program], { encoding: 'utf8', env: {} }));
}

describe('flags that V8 reads at the start only', () => {
  it('are in the first line of the program, and in each command by which it starts itself', () => {
    const flags = [YOUNG_HEAP_FLAG, HELPERS_FLAG];
    const [first] = readFileSync(join(packageRoot, 'sidecar/main.ts'), 'utf8').split('\n');
    assert.equal(first, `#!/usr/bin/env -S node ${flags.join(' ')}`);
    for (const flag of flags) assert.ok(SELF.includes(flag), flag);
  });

  it('leave a sidecar three helper threads fewer than Node has by itself, and a model process as many', () => {
    const flagsOf = (command: string): string[] =>
      commandOf(['node', YOUNG_HEAP_FLAG, HELPERS_FLAG, 'main.js'], [command]).slice(1, -2) as string[];
    const usual = threadsOf([]);
    assert.equal(threadsOf(flagsOf('sidecar')), usual - 3);
    assert.equal(threadsOf(flagsOf('serve')), usual);
  });
});

describe('flags that are set while the program runs', () => {
  it('are flags that this V8 knows, as it ignores others', () => {
    const source = readFileSync(join(packageRoot, 'sidecar/runtime/process/v8-tuning.ts'), 'utf8');
    const options = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8', env: {} });
    const flags = [...source.matchAll(/setFlagsFromString\('--(no-)?([a-z-]+)/g)].map((found) => found[2]!);
    assert.ok(flags.length >= 5, 'too few flags were found');
    for (const flag of flags) assert.ok(options.includes(`  --${flag} (`), flag);
  });
});
