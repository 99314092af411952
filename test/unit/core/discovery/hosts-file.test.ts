import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { readHosts } from '../../../../sidecar/core/discovery/hosts-file.js';

describe('a hosts file', () => {
  it('has all addresses of a name, by family, and of its aliases in whatever case', () => {
    const hosts = readHosts(
      '127.0.0.1\tlocalhost\n# 10.0.0.9 digits\n10.0.0.1 Digits.test digits # digits-0\r\n10.0.0.2 digits digits\nfd00::1 digits\n',
      isIP,
    );
    assert.deepEqual(hosts.get('digits'), { a: ['10.0.0.1', '10.0.0.2'], aaaa: ['fd00::1'] });
    assert.deepEqual(hosts.get('digits.test'), { a: ['10.0.0.1'], aaaa: [] });
    assert.equal(hosts.get('digits-0'), undefined);
  });

  it('has nothing in lines without an address or a name', () => {
    assert.equal(readHosts('digits 10.0.0.1\n10.0.0.300 digits\n10.0.0.1\n\n   \n', isIP).size, 0);
    assert.equal(readHosts('', isIP).size, 0);
  });
});
