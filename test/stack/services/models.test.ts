import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { requireModels, runModels } from '../../kit/service/made-models.js';

describe('npm run models', () => {
  it('says what is there already, and makes nothing', function () {
    requireModels(this, 'langid');
    const { status, stdout } = runModels(['langid']);
    assert.equal(status, 0);
    assert.match(stdout, /^langid: there \(\.cache\/models\/langid, 0\.3 MB\)\n$/);
  });

  it('takes the name of a chain for all of its models', function () {
    requireModels(this, 'ocr');
    const { stdout } = runModels(['ocr']);
    const names = [...stdout.matchAll(/^(\S+): there/gm)].map(([, name]) => name);
    assert.deepEqual(names, ['ocr/find', 'ocr/orient', 'ocr/read']);
  });

  it('says in one line that a package cannot be had, with exit code 3, and leaves nothing half made', () => {
    const cache = join(scratchForTest().path, 'cache');
    const { status, stdout, stderr } = runModels(['langid', '--cache', cache], { PATH: '/nowhere' });
    assert.equal(status, 3);
    assert.equal(stdout, '');
    assert.equal(stderr, 'langid: npm lande 1.0.10 cannot be had: npm is not on PATH\n');
    assert.equal(existsSync(join(cache, 'models/langid')), false);
    assert.deepEqual(readdirSync(join(cache, 'packages')), []);
  });

  it('says what npm says when its registry is away', function () {
    this.timeout(60_000);
    const scratch = scratchForTest();
    const away = { npm_config_registry: 'http://127.0.0.1:1/', npm_config_cache: join(scratch.path, 'npm') };
    const args = ['langid', '--cache', join(scratch.path, 'cache')];
    const { status, stderr } = runModels(args, { ...process.env, ...away });
    assert.equal(status, 3);
    assert.match(
      stderr,
      /^langid: npm lande 1\.0\.10 cannot be had: npm: npm error code ECONNREFUSED[^\n]*\n$/,
    );
  });

  it('names the models that there are when one is asked for that is not', () => {
    const { status, stderr } = runModels(['langid', 'nothing']);
    assert.equal(status, 2);
    assert.match(stderr, /^models: there is no model nothing; there are .*\blangid\b/);
  });
});
