import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { whyNoApt } from '../../../../sidecar/cli/consul/apt-package.js';
import { findConsul } from '../../../../sidecar/cli/consul/binary.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('finding Consul', () => {
  const scratch = scratchForEach();
  let cache: string;

  beforeEach(() => {
    cache = join(scratch.path, 'cache');
  });

  function script(name: string, text: string): string {
    mkdirSync(dirname(join(scratch.path, name)), { recursive: true });
    const file = scratch.write(name, `#!/bin/sh\n${text}\n`);
    chmodSync(file, 0o755);
    return file;
  }

  const consul = (name: string, version: string) => script(name, `echo "Consul v${version}"`);
  const brought = 'cache/consul/bullseye/usr/bin/consul';

  it('takes the one that CONSUL_BIN names before all others', async () => {
    const named = consul('named/consul', '1.15.2');
    consul('path/consul', '1.14.0');
    const env = { CONSUL_BIN: named, PATH: join(scratch.path, 'path') };
    assert.deepEqual(await findConsul({ env, cache }), { path: named, version: '1.15.2' });
  });

  it('refuses what CONSUL_BIN names when that is no Consul or too old', async () => {
    const other = script('other', 'echo "Nomad v1.0.0"');
    const old = consul('old', '1.4.4');
    const find = (path: string) => findConsul({ env: { CONSUL_BIN: path }, cache });
    await assert.rejects(find(other), /CONSUL_BIN: .*other is not a Consul program/);
    await assert.rejects(find(join(scratch.path, 'none')), /CONSUL_BIN: .*none is not a Consul program/);
    await assert.rejects(find(old), /CONSUL_BIN: .*old is Consul 1\.4\.4; 1\.8 or newer is needed/);
  });

  it('takes the first on PATH that is recent enough, then the one that was brought', async () => {
    consul('a/consul', '1.7.0');
    const second = consul('b/consul', '1.9.1');
    const third = consul(brought, '1.8.7');
    const on = (...folders: string[]) => folders.map((name) => join(scratch.path, name)).join(':');
    const find = async (PATH: string) => (await findConsul({ env: { PATH }, cache })).path;
    assert.equal(await find(on('a', 'none', 'b')), second);
    assert.equal(await find(on('a')), third);
  });

  it('says what to do where none can be brought', async () => {
    const says =
      /^CommandFailure: there is no Consul here, .*this machine has no apt-get\. Install Consul 1\.8 or newer[^\n]*$/;
    await assert.rejects(findConsul({ env: { PATH: scratch.path }, cache }), says);
    assert.equal(existsSync(cache), false);
  });

  describe('through apt', () => {
    /** `apt-get`, `dpkg` and what they call, as far as it matters; `update` and `download` are noted. */
    function fakeApt({ download = 'touch consul_1.8.7_amd64.deb' } = {}): { PATH: string } {
      script(
        'fake/apt-get',
        `case "$*" in
          *indextargets*) echo http://mirror.invalid/debian-security/; echo http://mirror.invalid/debian/ ;;
          *update*) grep -q "^deb .signed-by=/.*. http://mirror.invalid/debian/ bullseye main$" sources.list ;;
          *download*) ${download} ;;
        esac`,
      );
      const program = '#!/bin/sh\\necho "Consul v1.8.7"\\n';
      script(
        'fake/dpkg',
        `mkdir -p "$3/usr/bin" && printf '${program}' > "$3/usr/bin/consul" && chmod +x "$3/usr/bin/consul"`,
      );
      return { PATH: `${join(scratch.path, 'fake')}:/usr/bin:/bin` };
    }

    before(function () {
      if (whyNoApt(process.env) === undefined) return;
      process.stderr.write(`\nSKIPPING TESTS: ${whyNoApt(process.env)}\n`);
      this.skip();
    });

    it('brings the package of the system’s own mirror, once for all that ask at the same time', async () => {
      const env = fakeApt();
      const said: string[] = [];
      const find = () => findConsul({ env, cache, onInstall: (line) => said.push(line) });
      const found = await Promise.all([find(), find(), find()]);
      const expected = { path: join(scratch.path, brought), version: '1.8.7' };
      assert.deepEqual(found, [expected, expected, expected]);
      assert.deepEqual(readdirSync(join(cache, 'consul')), ['bullseye'], 'something is left over');
      assert.match(said[0]!, /bringing Debian's package/);
      said.length = 0;
      await find();
      assert.deepEqual(said, []);
    });

    it('removes what an interrupted download left, and not what a running one works with', async () => {
      const [left, running] = ['.consul-left', '.consul-running'].map((name) => join(cache, 'consul', name));
      for (const folder of [left!, running!]) mkdirSync(folder, { recursive: true });
      utimesSync(left!, 1, 1);
      await findConsul({ env: fakeApt(), cache });
      assert.deepEqual([existsSync(left!), existsSync(running!)], [false, true]);
    });

    it('says why it did not work, and leaves nothing behind', async () => {
      const env = fakeApt({ download: 'echo "W: slow" >&2; echo "E: The mirror is gone" >&2; exit 100' });
      const says =
        /^CommandFailure: Consul could not be brought \(apt-get: The mirror is gone\)\. Install Consul/;
      await assert.rejects(findConsul({ env, cache }), says);
      assert.deepEqual(readdirSync(join(cache, 'consul')), []);
    });
  });
});
