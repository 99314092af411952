import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchForTest } from '../kit/mocha/scratch.js';
import { outrider, REPOSITORY } from '../kit/process/outrider.js';

describe('command line', function () {
  this.timeout(30_000);

  async function fails(args: readonly string[], code: 1 | 2, says: RegExp, env = {}): Promise<void> {
    const outcome = await outrider(args, env);
    assert.equal(outcome.code, code, `${args.join(' ')}: ${outcome.stderr}`);
    assert.equal(outcome.stdout, '');
    assert.match(outcome.stderr, says);
  }

  it('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
    const { code, stdout } = await outrider(['--version']);
    assert.deepEqual([code, stdout], [0, `${version}\n`]);
  });

  it('lists its commands when asked, and that is a success', async () => {
    const { code, stdout } = await outrider(['--help']);
    assert.equal(code, 0);
    for (const command of ['up', 'sidecar', 'serve', 'infer', 'validate', 'status'])
      assert.match(stdout, new RegExp(`^ +${command} `, 'm'));
  });

  it('exits with 2 when the command line is wrong, and says what was meant', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /Usage: outrider/],
      [['upp'], /unknown command 'upp'[\s\S]*Did you mean up\?/],
      [['staus', '--help'], /unknown command 'staus'[\s\S]*Did you mean status\?/],
      [['up', '--colour'], /unknown option '--colour'/],
      [['up', 'a.yaml', 'b.yaml'], /too many arguments/],
      [['sidecar'], /required option '-c, --config <FILE>'/],
      [['serve'], /required option '--models <DIR>'/],
      [['infer'], /missing required argument 'MODEL'/],
      [['infer', 'digits', '--input', 'x=1', '--deadline', '5'], /--deadline: /],
      [['audit', 'verify', '/no/such.log'], /^outrider: \/no\/such\.log: no such file\n$/],
      [['validate'], /missing required argument 'FILE'/],
      [['explain', 'UNAVAILBLE'], /did you mean UNAVAILABLE\?/],
      [['rollout', 'stauts', 'digits'], /found "stauts digits"; did you mean "status"\?/],
      [['tap', '--rate', '0', '--admin', '127.0.0.1:1'], /^outrider: --rate: found "0"/],
      [['tap', '--count', 'x'], /--count: found "x"/],
      [['audit', 'verify', '--rots', 'x'], /Did you mean --roots\?[\s\S]*outrider audit verify --help/],
      [['status', '--admin', 'nonsense'], /--admin: found "nonsense"/],
    ];
    await Promise.all(wrong.map(([args, says]) => fails(args, 2, says)));
  });

  it('exits with 1 and one line when a command fails', async () => {
    const scratch = scratchForTest();
    const failing: [string[], RegExp][] = [
      [['sidecar', '-c', '/no/such.yaml'], /^outrider: \/no\/such\.yaml: no such file\n$/],
      [['serve', '--models', '/no/such/models'], /^outrider serve: .*\/no\/such\/models.*\n$/],
      [['inject', '/no/such.yaml'], /^outrider: \/no\/such\.yaml: no such file\n$/],
      [
        ['status'],
        /^outrider: no mesh of `outrider up` runs here: start one, or name a sidecar with --admin HOST:PORT\n$/,
      ],
      [
        ['infer', 'digits', '--input', 'x=1', '--target', '127.0.0.1:1', '--deadline', '2s'],
        /^outrider infer: .*\n$/,
      ],
    ];
    const env = { TMPDIR: scratch.path };
    await Promise.all(failing.map(([args, says]) => fails(args, 1, says, env)));
  });

  it('writes no colour where there is no terminal', async () => {
    const { stdout, stderr } = await outrider(['--help'], { FORCE_COLOR: '1' });
    assert.ok(!`${stdout}${stderr}`.includes('\x1b['));
  });
});
