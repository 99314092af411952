import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { auditVerifyCommand } from '../../../sidecar/cli/audit-verify.js';
import { CommandFailure } from '../../../sidecar/cli/failure.js';
import { type ChainHead, EMPTY_CHAIN, headAt, nextLine } from '../../../sidecar/telemetry/audit/chain.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';

describe('outrider audit verify', () => {
  const scratch = scratchForEach();
  let printed: string[];
  beforeEach(() => {
    printed = [];
  });
  const run = (files: readonly string[], options = {}): Promise<number> =>
    auditVerifyCommand(files, options, (line) => void printed.push(line));

  /** Six lines in two files. */
  function log(): { files: [string, string]; head: ChainHead } {
    let head: ChainHead = EMPTY_CHAIN;
    const texts = Array.from({ length: 6 }, (_, i) => {
      const line = nextLine(
        head,
        { at: '2026-01-01T00:00:00.000Z', kind: 'drain-began', sidecar: 'a-1' },
        { i },
      );
      head = headAt(head.n + 1, line);
      return line;
    });
    const old = scratch.write('log.1', `${texts.slice(0, 3).join('\n')}\n`);
    return { files: [old, scratch.write('log', `${texts.slice(3).join('\n')}\n`)], head };
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
    assert.deepEqual(printed, [`${broken}:1: it is no line of an audit log`]);
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
    assert.equal(await run(files, { roots: scratch.write('roots.pem', pem), seen: `6:${head.hash}` }), 0);
    const refusal = (pattern: RegExp) => (error: unknown) =>
      error instanceof CommandFailure && error.exitCode === 2 && pattern.test(error.message);
    await assert.rejects(run(files, { roots: files[0] }), refusal(/--roots .*found no certificate/));
    await assert.rejects(run(files, { seen: '6' }), refusal(/--seen: found "6"; expected N:HASH/));
    await assert.rejects(run([`${files[0]}.none`]), refusal(/log\.1\.none: no such file$/));
  });
});
