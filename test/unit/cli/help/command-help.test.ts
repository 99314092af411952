import assert from 'node:assert/strict';
import { Command, CommanderError } from 'commander';
import { explainUsage, optionDescription } from '../../../../sidecar/cli/help/command-help.js';

/** A program with one command in a group, whose options show defaults and choices. */
function program(): { readonly program: Command; readonly printed: string[] } {
  const printed: string[] = [];
  const all = new Command('outrider')
    .exitOverride()
    .configureHelp({ optionDescription })
    .configureOutput({ writeOut: (text) => printed.push(text), writeErr: (text) => printed.push(text) });
  all
    .command('audit')
    .command('verify')
    .option('--input <X>', 'may be repeated', (value: string, before: string[]) => [...before, value], [])
    .option('--days <N>', 'how long', '365')
    .action(() => {});
  explainUsage(all);
  return { program: all, printed };
}

function run(args: readonly string[]): string {
  const { program: all, printed } = program();
  assert.throws(() => all.parse(args, { from: 'user' }), CommanderError);
  return printed.join('');
}

describe('the help of commands', () => {
  it('shows a default that says something, and not that of an option that may be repeated', () => {
    const text = run(['audit', 'verify', '--help']);
    assert.match(text, /--days <N> +how long \(default: 365\)/);
    assert.match(text, /--input <X> +may be repeated\n/);
  });

  it('is named by a mistake in the words that print it', () => {
    assert.match(run(['audit', 'verify', '--day']), /\(outrider audit verify --help says how it is used\)/);
    assert.match(run(['audit', 'verfy']), /\(outrider audit --help says how it is used\)/);
  });

  it('says what the exit codes mean', () => {
    assert.match(run(['--help']), /Exit codes: 0 success; 1 failure.*; 2 wrong command line/);
  });
});
