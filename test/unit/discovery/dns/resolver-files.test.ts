import assert from 'node:assert/strict';
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ResolverFiles } from '../../../../sidecar/discovery/dns/resolver-files.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('The files of the resolver', () => {
  const scratch = scratchForEach();
  const open = (env = {}) => {
    const paths = { resolvConf: join(scratch.path, 'resolv.conf'), hosts: join(scratch.path, 'hosts') };
    return { ...paths, files: new ResolverFiles(env, paths) };
  };

  it('are read again when they have changed, and empty while they are away', () => {
    const { files, resolvConf, hosts } = open();
    assert.equal(files.addressesOf('digits'), undefined);
    assert.equal(files.settings().ndots, 1);
    writeFileSync(hosts, '10.0.0.1 digits\n');
    writeFileSync(resolvConf, 'search a.test\noptions ndots:5\n');
    assert.deepEqual(files.addressesOf('DIGITS'), { a: ['10.0.0.1'], aaaa: [] });
    assert.deepEqual([files.settings().search, files.settings().ndots], [['a.test'], 5]);
    // As Kubernetes and editors do it: another file takes its place.
    writeFileSync(`${hosts}.new`, '10.0.0.2 digits\n');
    renameSync(`${hosts}.new`, hosts);
    assert.deepEqual(files.addressesOf('digits')!.a, ['10.0.0.2']);
    rmSync(hosts);
    assert.equal(files.addressesOf('digits'), undefined);
  });

  it('are parsed once while they stay the same', () => {
    const { files, resolvConf } = open();
    writeFileSync(resolvConf, 'search a.test\n');
    assert.equal(files.settings(), files.settings());
  });

  it('say what they said before while they cannot be read', () => {
    const { files, resolvConf, hosts } = open();
    // A file that is there, and of which a read fails (EIO) also for root.
    const spoil = (path: string): void => {
      symlinkSync('/proc/self/mem', `${path}.new`);
      renameSync(`${path}.new`, path);
    };
    spoil(resolvConf);
    assert.equal(files.settings().ndots, 1);
    rmSync(resolvConf);
    writeFileSync(resolvConf, 'search a.test\noptions ndots:5\n');
    writeFileSync(hosts, '10.0.0.1 digits\n');
    assert.deepEqual([files.settings().ndots, files.addressesOf('digits')!.a], [5, ['10.0.0.1']]);
    for (const path of [resolvConf, hosts]) spoil(path);
    for (let look = 0; look < 2; look++)
      assert.deepEqual([files.settings().ndots, files.addressesOf('digits')!.a], [5, ['10.0.0.1']]);
    for (const path of [resolvConf, hosts]) rmSync(path);
    assert.deepEqual([files.settings().ndots, files.addressesOf('digits')], [1, undefined]);
  });

  it('of more than 1 MiB are not read', () => {
    const { files, hosts } = open();
    writeFileSync(hosts, `10.0.0.1 digits\n${'#'.repeat(1024 * 1024)}\n`);
    assert.equal(files.addressesOf('digits'), undefined);
  });

  it('give way to the environment', () => {
    const { files, resolvConf } = open({ LOCALDOMAIN: 'b.test', RES_OPTIONS: 'ndots:3' });
    writeFileSync(resolvConf, 'search a.test\n');
    assert.deepEqual([files.settings().search, files.settings().ndots], [['b.test'], 3]);
  });
});
