import assert from 'node:assert/strict';
import { dropNoPackets, dropPackets, dropRules } from '../../../../../sidecar/cli/chaos/faults/packets.js';

describe('packets that a drill drops', () => {
  it('are those to and from a port', () => {
    assert.deepEqual(
      dropRules(4_000, 1).map((rule) => rule.join(' ')),
      ['-w 5 -A INPUT -p tcp --dport 4000 -j DROP', '-w 5 -A INPUT -p tcp --sport 4000 -j DROP'],
    );
  });

  it('or a share of them', () => {
    assert.match(dropRules(1, 0.1)[0]!.join(' '), /-m statistic --mode random --probability 0\.1 -j DROP$/);
  });

  it('are none of the network of the machine', async () => {
    await assert.rejects(dropPackets(1, 1), /in a network of the command’s own only/);
    await assert.rejects(dropNoPackets(), /in a network of the command’s own only/);
  });
});
