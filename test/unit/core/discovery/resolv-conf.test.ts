import assert from 'node:assert/strict';
import { readResolvConf } from '../../../../sidecar/core/discovery/resolv-conf.js';

describe('resolv.conf', () => {
  const read = (text: string, env: Record<string, string> = {}, hostname = 'box') =>
    readResolvConf(text, { hostname, env });

  it('of a pod has its search list and ndots', () => {
    const { search, ndots } = read(
      'search default.svc.cluster.local svc.cluster.local cluster.local corp.example.\nnameserver 10.96.0.10\noptions ndots:5\n',
    );
    assert.deepEqual(search, [
      'default.svc.cluster.local',
      'svc.cluster.local',
      'cluster.local',
      'corp.example',
    ]);
    assert.equal(ndots, 5);
  });

  it('that is empty has one dot, two turns of a second, and the domain of the host', () => {
    const settings = { ndots: 1, tryMs: 1_000, tries: 2, isWithoutAaaa: false };
    assert.deepEqual(read(''), { search: [], ...settings });
    assert.deepEqual(read('', {}, 'box.models.test'), { search: ['models.test'], ...settings });
  });

  it('is read by the last search or domain, and all options', () => {
    assert.deepEqual(read('domain a.test\nsearch\tb.test \t c.test b.test\n', {}, 'x.y').search, [
      'b.test',
      'c.test',
    ]);
    assert.deepEqual(read('search b.test\ndomain a.test ignored\n').search, ['a.test']);
    const options = read('options ndots:2 timeout:3\noptions attempts:4 no-aaaa rotate what:9\n');
    assert.deepEqual(options, { search: [], ndots: 2, tryMs: 3_000, tries: 4, isWithoutAaaa: true });
  });

  it('has comments, and lines that mean nothing here', () => {
    const text =
      '# search a.test\n;search a.test\n  search a.test\nsortlist 1.2.3.4\nsearch .\r\noptions ndots:x ndots:\n';
    assert.deepEqual(read(text).search, ['']);
    assert.equal(read(text).ndots, 1);
  });

  it('is bounded as in the C library', () => {
    const { ndots, tryMs, tries } = read('options ndots:99 timeout:99 attempts:99');
    assert.deepEqual([ndots, tryMs, tries], [15, 30_000, 5]);
    assert.deepEqual([read('options timeout:0').tryMs, read('options attempts:0').tries], [1_000, 1]);
    const domains = Array.from({ length: 40 }, (_, i) => `d${i}.test`);
    assert.deepEqual(read(`search ${domains.join(' ')}`).search, domains.slice(0, 32));
  });

  it('gives way to LOCALDOMAIN and RES_OPTIONS', () => {
    const env = { LOCALDOMAIN: 'x.test  y.test', RES_OPTIONS: 'ndots:3 attempts:1' };
    const { search, ndots, tries } = read('search a.test\noptions ndots:5', env);
    assert.deepEqual([search, ndots, tries], [['x.test', 'y.test'], 3, 1]);
    assert.deepEqual(read('search a.test', { LOCALDOMAIN: '' }).search, []);
  });
});
