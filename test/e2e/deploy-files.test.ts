/** Files for deployment that the programs of others read: the units by `systemd-analyze`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scratchForEach } from '../kit/mocha/scratch.js';
import { REPOSITORY } from '../kit/process/outrider.js';
import { toolOrSkip } from '../kit/process/tools.js';

const UNITS = path.join(REPOSITORY, 'mesh-config/systemd');

function outputOf(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 30_000 });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout + stderr;
}

describe('the units of systemd', function () {
  this.timeout(60_000);
  const scratch = scratchForEach();
  let analyze: string;
  before(async function () {
    analyze = await toolOrSkip(this, 'systemd-analyze');
  });

  it('are valid, and a wrong key is found', () => {
    const units = readdirSync(UNITS).map((name) => path.join(UNITS, name));
    assert.ok(units.length >= 4);
    assert.equal(outputOf(analyze, ['verify', ...units]).trim(), '');
    const wrong = path.join(scratch.path, 'wrong.service');
    const unit = readFileSync(path.join(UNITS, 'outrider-model.service'), 'utf8');
    writeFileSync(wrong, unit.replace('NoNewPrivileges', 'NoNewPrivilege'));
    assert.match(outputOf(analyze, ['verify', wrong]), /Unknown key.* 'NoNewPrivilege'/);
  });

  for (const name of ['outrider.service', 'outrider-model.service'])
    it(`leave ${name} an exposure of less than 2.5 of 10`, () => {
      const said = outputOf(analyze, [
        'security',
        '--offline=true',
        '--threshold=25',
        path.join(UNITS, name),
      ]);
      assert.match(said, /Overall exposure level/);
    });
});
