import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { proveModels } from '../../../../sidecar/cli/check/golden.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { DIGITS_MODELS } from '../../../kit/process/outrider.js';

/** The machine may be busy with other work. */
const LIMIT_MS = 50_000;

describe('models that are run by a check', function () {
  this.timeout(60_000);
  const scratch = scratchForEach();
  const copy = (name: string): string => {
    const directory = join(scratch.path, name, '1');
    cpSync(join(DIGITS_MODELS, 'digits/1'), directory, { recursive: true });
    return directory;
  };

  it('fail by a file that is another one and by a golden output that differs, and by nothing else', async () => {
    const [right, cut, other, differs] = ['right', 'cut', 'other', 'differs'].map(copy) as [
      ...[string, string, string, string],
    ];
    const network = readFileSync(join(cut, 'model.onnx'));
    writeFileSync(join(cut, 'model.onnx'), network.subarray(0, network.length / 2));
    const edit = (directory: string, from: RegExp, to: string) => {
      const card = readFileSync(join(directory, 'model.yaml'), 'utf8');
      assert.match(card, from);
      writeFileSync(join(directory, 'model.yaml'), card.replace(from, to));
    };
    edit(other, /sha256: .*/, `sha256: ${'a'.repeat(64)}`);
    edit(differs, /0\.739349/, '0.139349');
    const models = [right, cut, other, differs].map((directory) => ({ of: directory, directory }));
    const findings = await proveModels(models, LIMIT_MS);
    assert.deepEqual(
      findings.map(({ level }) => level),
      ['ok', 'failed', 'failed', 'failed'],
      JSON.stringify(findings),
    );
    const says = [/gives its golden output/, /model\.onnx/, /sha256 .*, expected aaaa/, /golden: output/];
    for (const [i, finding] of findings.entries()) assert.match(finding.what, says[i]!);
  });

  it('are left to a server where they are code, and it says so', async () => {
    const directory = copy('code');
    writeFileSync(
      join(directory, 'model.yaml'),
      `code: ./model.mjs\n${readFileSync(join(directory, 'model.yaml'))}`,
    );
    const [finding] = await proveModels([{ of: 'code', directory }], LIMIT_MS);
    assert.deepEqual([finding!.level, /not run: only a server/.test(finding!.what)], ['ok', true]);
    const [none] = await proveModels([{ of: 'none', directory: scratch.path }]);
    assert.match(none!.what, /not run: it is code/);
  });

  it('are not run where no time is left, and it says so', async () => {
    const directory = copy('right');
    const [finding] = await proveModels([{ of: 'right', directory }], 0);
    assert.equal(finding!.level, 'ok');
    assert.match(finding!.what, /not run: others took the time/);
  });
});
