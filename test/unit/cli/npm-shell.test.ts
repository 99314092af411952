import assert from 'node:assert/strict';
import { isNpmShell } from '../../../sidecar/cli/npm-shell.js';

describe('the shell of npx', () => {
  const shell = (command: string) => ['sh', '-c', command];

  it('runs one command, which is this program', () => {
    assert.ok(isNpmShell(shell("'outrider' up mesh.yaml"), "'outrider'"));
    assert.ok(isNpmShell(shell('outrider up mesh.yaml'), 'outrider up mesh.yaml'));
    assert.ok(isNpmShell(shell('node_modules/.bin/outrider up'), 'node_modules/.bin/outrider up'));
    assert.ok(isNpmShell(shell("'outrider' infer iris --input 'a=[1, 2]'"), "'outrider'"));
  });

  it('is no shell that may end before its command, nor one with others to run', () => {
    for (const script of [
      'outrider up &',
      'outrider up & echo up',
      'sleep 1; outrider up',
      'nohup outrider up',
    ])
      assert.ok(!isNpmShell(shell(script), script), script);
  });

  it('is not found where npm has not made it', () => {
    assert.ok(!isNpmShell(shell('outrider up'), undefined));
    assert.ok(!isNpmShell(shell("'outrider' up"), 'other start'));
    assert.ok(!isNpmShell(['bash'], "'outrider'"));
    // A sidecar that `up` has started inherits the variable.
    assert.ok(!isNpmShell(['node', 'node_modules/.bin/outrider', 'up'], "'outrider'"));
    assert.ok(!isNpmShell([], "'outrider'"));
  });
});
