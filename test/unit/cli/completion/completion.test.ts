/** Completion, in the shells themselves. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { bashCompletion } from '../../../../sidecar/cli/completion/bash.js';
import { completedCommands } from '../../../../sidecar/cli/completion/command-tree.js';
import { fishCompletion } from '../../../../sidecar/cli/completion/fish.js';
import { zshCompletion } from '../../../../sidecar/cli/completion/zsh.js';
import { build } from '../../../../sidecar/cli/program.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';
import { toolOrSkip } from '../../../kit/process/tools.js';

const commands = completedCommands(
  build(() => {}),
  { explain: ['overloaded', 'no-endpoint'], status: [] },
);

/** Runs a script, and returns its lines. */
function run(shell: string, script: string, cwd: string): string[] {
  const { status, stdout, stderr } = spawnSync(shell, ['-c', script], { cwd, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.split('\n').filter((line) => line !== '');
}

/** Lines after the cursor, each with what is offered, with and without what must not be. */
const ASKED: readonly (readonly [line: string, offered: readonly string[], not: readonly string[]])[] = [
  ['', ['up', 'status', 'check', 'explain', 'audit'], ['verify']],
  ['st', ['status'], ['up']],
  ['status --a', ['--admin'], ['--watch']],
  ['audit ', ['verify'], ['up']],
  ['audit verify --', ['--roots', '--id', '--seen', '--json', '--help'], ['--admin']],
  ['explain over', ['overloaded'], ['no-endpoint']],
  ['up --consul ', ['dev'], ['mesh.yaml']],
  ['up ', ['mesh.yaml'], ['up']],
  ['sidecar --config ', ['mesh.yaml'], ['--takeover']],
  ['up --consul dev --', ['--json'], ['--watch']],
];

describe('outrider completion', () => {
  it('knows every command, and hides what is hidden', () => {
    const paths = commands.map(({ path }) => path);
    for (const path of ['', 'up', 'sidecar', 'tap', 'check', 'audit', 'audit verify'])
      assert.ok(paths.includes(path), path);
    const texts = commands.flatMap(({ options }) => options.map(({ text }) => text));
    assert.ok(!texts.includes('--exit-with-stdin'));
    assert.ok(!paths.includes('chaos-model'));
    assert.ok(!commands.some(({ subcommands }) => subcommands.some(({ text }) => text === 'chaos-model')));
  });

  it('completes the words after npx in bash as those after the program', () => {
    const scratch = scratchForTest();
    scratch.write('mesh.yaml', '');
    const file = scratch.write('.outrider.bash', bashCompletion(commands));
    const ask = (...words: string[]) =>
      `COMP_WORDS=(npx ${words.join(' ')}); COMP_CWORD=${words.length}; COMPREPLY=(); _outrider_npx; echo "= \${COMPREPLY[*]}"`;
    const script = [
      ask('outr'),
      ask('outrider', 'statu'),
      ask('outrider', 'up', 'm'),
      ask('cowsay', 'st'),
    ].join('\n');
    const answers = run('bash', `source ${file}\n${script}\ncomplete -p npx`, scratch.path);
    assert.deepEqual(answers.slice(0, 4), ['= outrider', '= status', '= mesh.yaml', '= ']);
    assert.match(answers[4]!, /_outrider_npx npx$/);
    const kept = run('bash', `complete -F _other npx; source ${file}; complete -p npx`, scratch.path);
    assert.deepEqual(kept, ['complete -F _other npx']);
  });

  it('completes in bash', () => {
    const scratch = scratchForTest();
    scratch.write('mesh.yaml', '');
    const file = scratch.write('.outrider.bash', bashCompletion(commands));
    const script = ASKED.map(([line]) => {
      const words = line.split(' ').map((word) => `'${word}'`);
      return `COMP_WORDS=(outrider ${words.join(' ')}); COMP_CWORD=${words.length}; COMPREPLY=(); _outrider; echo "= \${COMPREPLY[*]}"`;
    }).join('\n');
    const answers = run('bash', `source ${file}\n${script}`, scratch.path);
    assert.equal(answers.length, ASKED.length);
    for (const [i, [line, offered, not]] of ASKED.entries()) {
      const words = answers[i]!.split(' ');
      for (const word of offered) assert.ok(words.includes(word), `${line}: ${word} in ${answers[i]}`);
      for (const word of not) assert.ok(!words.includes(word), `${line}: no ${word} in ${answers[i]}`);
    }
  });

  it('completes in fish', async function () {
    await toolOrSkip(this, 'fish');
    const scratch = scratchForTest();
    scratch.write('mesh.yaml', '');
    const file = scratch.write('.outrider.fish', fishCompletion(commands));
    for (const [line, offered, not] of ASKED) {
      const words = run('fish', `source ${file}; complete -C "outrider ${line}"`, scratch.path).map(
        (answer) => answer.split('\t', 1)[0]!,
      );
      for (const word of offered) assert.ok(words.includes(word), `${line}: ${word} in ${words.join(' ')}`);
      for (const word of not) assert.ok(!words.includes(word), `${line}: no ${word} in ${words.join(' ')}`);
    }
  });

  it('completes in zsh', async function () {
    await toolOrSkip(this, 'zsh');
    const scratch = scratchForTest();
    const file = scratch.write('outrider.zsh', zshCompletion(commands));
    // The completion system draws a menu on a terminal; what it is given is printed instead.
    const shows = [
      'compdef() { }',
      `_describe() { print -l -- \${(@)\${(P)2}%%:*} }`,
      `compadd() { print -l -- \${(P)2} }`,
      '_files() { print -l -- *(N) }',
    ].join('\n');
    scratch.write('mesh.yaml', '');
    for (const [line, offered, not] of ASKED) {
      const words = line.split(' ').map((word) => `'${word}'`);
      const script = `${shows}\nsource ${file}; words=(outrider ${words.join(' ')}); CURRENT=${words.length + 1}; _outrider; true`;
      const answers = run('zsh', `setopt noglobdots\n${script}`, scratch.path);
      // The completion system itself leaves out what the word does not begin with.
      const begun = answers.filter((answer) => answer.startsWith(line.split(' ').at(-1)!));
      for (const word of offered) assert.ok(begun.includes(word), `${line}: ${word} in ${begun.join(' ')}`);
      for (const word of not) assert.ok(!begun.includes(word), `${line}: no ${word} in ${begun.join(' ')}`);
    }
  });

  it('quotes what a description may hold, in each shell', () => {
    const command = {
      path: '',
      subcommands: [{ text: 'it', does: "doesn't: cost $HOME `date`" }],
      options: [],
      argument: [],
    };
    assert.match(zshCompletion([command]), /'it:doesn'\\''t\\: cost \$HOME `date`'/);
    assert.match(fishCompletion([command]), /-a 'it' -d 'doesn\\'t: cost \$HOME `date`'/);
  });
});
