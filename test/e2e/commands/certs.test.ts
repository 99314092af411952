import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { outrider } from '../../kit/process/outrider.js';

describe('outrider certs', function () {
  this.timeout(30_000);
  let out: string;
  beforeEach(() => {
    out = join(scratchForTest().path, 'certs');
  });

  const read = (name: string): string => readFileSync(join(out, name), 'utf8');

  it('makes a certificate for each service, signed by one root, with keys that only their owner reads', async () => {
    const { code, stdout, stderr } = await outrider([
      ...['certs', 'digits', 'web', '--out', out],
      ...['--trust-domain', 'mine.example', '--datacenter', 'lab', '--days', '7'],
    ]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /digits\.crt {2}spiffe:\/\/mine\.example\/ns\/default\/dc\/lab\/svc\/digits\n/);
    const names = ['digits.crt', 'digits.key', 'roots.crt', 'web.crt', 'web.key'];
    assert.deepEqual(readdirSync(out).sort(), names);
    const root = new X509Certificate(read('roots.crt'));
    for (const service of ['digits', 'web']) {
      const leaf = new X509Certificate(read(`${service}.crt`));
      assert.ok(leaf.verify(root.publicKey));
      assert.equal(leaf.subjectAltName, `URI:spiffe://mine.example/ns/default/dc/lab/svc/${service}`);
      const days = (Date.parse(leaf.validTo) - Date.now()) / 86_400_000;
      assert.ok(days > 6.9 && days <= 7, String(days));
      assert.equal(statSync(join(out, `${service}.key`)).mode & 0o777, 0o600);
    }
  });

  it('says as JSON what it has written', async () => {
    const { stdout } = await outrider([
      'certs',
      'web',
      '--out',
      out,
      '--trust-domain',
      'mine.example',
      '--json',
    ]);
    const id = 'spiffe://mine.example/ns/default/dc/dc1/svc/web';
    const web = { service: 'web', id, cert: join(out, 'web.crt'), key: join(out, 'web.key') };
    assert.deepEqual(JSON.parse(stdout), { roots: join(out, 'roots.crt'), certificates: [web] });
  });

  it('overwrites nothing', async () => {
    await outrider(['certs', 'digits', '--out', out]);
    const before = read('digits.key');
    const { code, stderr } = await outrider(['certs', 'web', '--out', out]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /certs\/roots\.crt is there already, and nothing has been written; .* another --out, or remove the files/,
    );
    assert.equal(read('digits.key'), before);
    assert.ok(!readdirSync(out).includes('web.key'));
  });

  it('leaves nothing behind where it cannot write all', async () => {
    mkdirSync(out);
    // It looks for files, and finds this only as it writes.
    symlinkSync(join(out, 'nowhere'), join(out, 'web.key'));
    const { code, stderr } = await outrider(['certs', 'digits', 'web', '--out', out]);
    assert.equal(code, 1);
    assert.match(stderr, /certs\/web\.key is there already, and nothing has been written/);
    assert.deepEqual(readdirSync(out), ['web.key']);
  });

  for (const [args, problem] of [
    [['roots'], /SERVICE: found "roots"; expected another name/],
    [['digits', 'web', 'digits'], /SERVICE: found "digits" twice; expected each service once/],
    [['Digits'], /SERVICE: found "Digits"; expected lower-case letters/],
    [['../x'], /SERVICE: found .*; expected lower-case letters/],
    [['digits', '--days', '0'], /--days: found 0; expected a whole number from 1 to 3650/],
  ] as const)
    it(`refuses ${args.join(' ')}`, async () => {
      const { code, stderr } = await outrider(['certs', ...args, '--out', out]);
      assert.equal(code, 2);
      assert.match(stderr, problem);
      assert.equal(existsSync(out), false);
    });
});
