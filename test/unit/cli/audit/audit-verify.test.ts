import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { auditVerifyCommand } from '../../../../sidecar/cli/audit/audit-verify.js';
import { CommandFailure } from '../../../../sidecar/cli/failure.js';
import {
  type ChainHead,
  EMPTY_CHAIN,
  headAt,
  nextLine,
  signedText,
} from '../../../../sidecar/telemetry/audit/chain.js';
import { certificatesIn, nameOf, signatureOf } from '../../../../sidecar/telemetry/audit/signature.js';
import { TestAuthority } from '../../../kit/identity/certificates.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('outrider audit verify', () => {
  const scratch = scratchForEach();
  let printed: string[];
  beforeEach(() => {
    printed = [];
  });
  const run = (files: readonly string[], options = {}): Promise<number> =>
    auditVerifyCommand(files, options, (line) => void printed.push(line));

  /** Six lines in two files. */
  function log(name = 'log', sidecar = 'a-1', why = ''): { files: [string, string]; head: ChainHead } {
    let head: ChainHead = EMPTY_CHAIN;
    const texts = Array.from({ length: 6 }, (_, i) => {
      const line = nextLine(
        head,
        { at: '2026-01-01T00:00:00.000Z', kind: 'drain-began', sidecar },
        { i, why },
      );
      head = headAt(head.n + 1, line);
      return line;
    });
    const old = scratch.write(`${name}.1`, `${texts.slice(0, 3).join('\n')}\n`);
    return { files: [old, scratch.write(name, `${texts.slice(3).join('\n')}\n`)], head };
  }

  it('puts files into their order, and says what is proven', async () => {
    const { files, head } = log();
    assert.equal(await run([files[1], files[0]], { seen: JSON.stringify({ n: 6, hash: head.hash }) }), 0);
    assert.match(printed[0]!, /^unbroken: numbers 1 to 6/);
    assert.match(printed[1]!, /no checkpoint is signed; 6 lines/);
  });

  it('names file and line of the first fault, and exits with 1', async () => {
    const { files } = log();
    const broken = scratch.write('log', 'nonsense\n');
    assert.equal(await run([files[0], broken]), 1);
    assert.deepEqual(printed, [
      `${broken}:1: not a line of an audit log; expected the JSON that a sidecar with \`audit\` writes`,
    ]);
  });

  it('passes over the locks of a sidecar that runs, which LOG* finds too', async () => {
    const { files } = log();
    const locks = ['log.lock', 'log.lock.old', 'log.lock.4711'].map((name) => scratch.write(name, '4711 99'));
    assert.equal(await run([files[1], ...locks, files[0]]), 0);
    assert.match(printed[0]!, /^unbroken: numbers 1 to 6/);
    await assert.rejects(run(locks.slice(0, 1)), /found no log but the lock of a sidecar: .*log\.lock$/);
  });

  it('tells the logs of several sidecars apart, and what is wrong with one of them', async () => {
    const files = [...log('a.jsonl', 'a-1').files, ...log('b.jsonl', 'b-1').files];
    assert.equal(await run(files), 0);
    const titles = printed.filter((line) => !line.startsWith(' '));
    assert.deepEqual(titles, ['a-1', 'b-1']);
    assert.match(printed[1]!, /^ {2}unbroken: numbers 1 to 6/);
    await assert.rejects(
      run(files, { seen: `6:${'0'.repeat(64)}` }),
      /found logs of a-1, b-1; expected .* one/,
    );
    const broken = scratch.write('b.jsonl', '{"n":4,"at":"2026-01-0');
    printed = [];
    assert.equal(await run(files), 1);
    assert.deepEqual(printed.slice(-2), [
      'b-1',
      `  ${broken}:1: it breaks off: its end was cut off, or is being written`,
    ]);
    printed = [];
    assert.equal(await run(files, { json: true }), 1);
    const faults = JSON.parse(printed.join('')).map((each: { fault?: object }) => each.fault !== undefined);
    assert.deepEqual(faults, [false, true]);
  });

  it('keeps an older file with its log, whatever its lines say of the sidecar', async () => {
    const own = log('log', 'a-1').files;
    scratch.write('log.1', `${nextLine(EMPTY_CHAIN, { at: '', kind: 'drain-began', sidecar: 'b-1' }, {})}\n`);
    assert.equal(await run(own), 1);
    assert.match(printed.join(), /log:1: /);
  });

  it('refuses a log that another sidecar of the same roots has signed', async () => {
    const authority = await TestAuthority.root();
    const leaf = await authority.leaf({ service: 'web' });
    const at = { at: '2026-01-01T00:00:00.000Z', sidecar: 'digits-1' };
    const line = nextLine(EMPTY_CHAIN, { ...at, kind: 'drain-began' }, {});
    const head = headAt(1, line);
    const signed = nextLine(head, { ...at, kind: 'checkpoint' }, signatureOf(leaf, signedText(head, at)));
    const file = scratch.write('digits-1.jsonl', `${line}\n${signed}\n`);
    const roots = scratch.write('roots.pem', authority.rootPem);
    const idOf = (service: string) => nameOf(certificatesIn(leaf.certChainPem)[0]!).replace(/web$/, service);
    assert.equal(await run([file], { roots, id: [idOf('web')] }), 0, printed.join());
    assert.equal(await run([file], { roots, id: [`digits-1=${idOf('web')}`] }), 0);
    assert.equal(await run([file], { roots, id: [idOf('digits')] }), 1);
    assert.match(
      printed.at(-1)!,
      /digits-1.jsonl:2: it is signed by spiffe:.*\/svc\/web, expected spiffe:.*\/svc\/digits$/,
    );
  });

  it('takes LF alone for the end of a line', async () => {
    assert.equal(await run(log('log', 'a-1', 'one\u2028two\u2029three').files), 0);
    assert.match(printed[0]!, /^unbroken: numbers 1 to 6/);
  });

  it('says what is missing before, and prints JSON', async () => {
    const { files } = log();
    await run([files[1]]);
    assert.match(printed[2]!, /numbers 1 to 3 are not in these files/);
    printed = [];
    await run([files[1]], { json: true });
    assert.equal(JSON.parse(printed.join('')).first, 4);
    printed = [];
    assert.equal(await run([scratch.write('empty', '')]), 0);
    assert.deepEqual(printed, ['no lines']);
  });

  it('takes roots, and refuses files and options that cannot be used, each with its name', async () => {
    const { files, head } = log();
    const pem = (await TestAuthority.root()).rootPem;
    assert.ok(new X509Certificate(pem));
    const roots = scratch.write('roots.pem', pem);
    assert.equal(await run(files, { seen: `6:${head.hash}` }), 0);
    const id = ['spiffe://mesh.example/ns/default/dc/dc1/svc/a'];
    assert.equal(await run(files, { roots, id }), 1);
    assert.match(printed.at(-1)!, /log:3: no line is signed/);
    const refusal = (pattern: RegExp) => (error: unknown) =>
      error instanceof CommandFailure && error.exitCode === 2 && pattern.test(error.message);
    await assert.rejects(run(files, { roots: files[0], id }), refusal(/--roots .*found no certificate/));
    await assert.rejects(run(files, { roots }), refusal(/--roots: .* say whose log it is with --id/));
    await assert.rejects(run(files, { roots, id: ['a'] }), refusal(/--id: found "a"; expected a SPIFFE id/));
    await assert.rejects(
      run(files, { roots, id: [`b-1=${id}`] }),
      refusal(/--id: found logs of a-1; .* --id a-1=/),
    );
    await assert.rejects(run(files, { seen: '6' }), refusal(/--seen: found "6"; expected N:HASH/));
    await assert.rejects(run([`${files[0]}.none`]), refusal(/log\.1\.none: no such file$/));
  });
});
