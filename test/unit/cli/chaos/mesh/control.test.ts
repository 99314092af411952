import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MeshControl } from '../../../../../sidecar/cli/chaos/mesh/control.js';
import type { Members, Replica } from '../../../../../sidecar/cli/chaos/mesh/members.js';

describe('the admin ports as a drill asks them', () => {
  it('name the option of the command where they ask for a token, and say themselves what is wrong with another one', async () => {
    const server = createServer((_, answer) => void answer.writeHead(401).end('no such token\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const replica: Replica = {
      ...{ name: 'digits-1', permission: 'processes', faultsOn: 0 },
      admin: { kind: 'tcp', host: '127.0.0.1', port },
    };
    const members = { replicas: [replica] } as unknown as Members;
    try {
      const message = `127.0.0.1:${port} asks for a token (admin_token_file): give it with --token-file FILE`;
      const without = new MeshControl(members, undefined);
      await assert.rejects(without.kill(replica), { name: 'CommandFailure', message });
      await assert.rejects(without.restart(replica), { name: 'CommandFailure', message });
      await assert.rejects(new MeshControl(members, 'x'.repeat(16)).kill(replica), {
        message: 'digits-1: no such token',
      });
    } finally {
      server.close();
    }
  });
});
