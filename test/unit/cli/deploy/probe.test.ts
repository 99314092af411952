import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { probeCommand } from '../../../../sidecar/cli/deploy/probe.js';
import { CommandFailure } from '../../../../sidecar/cli/failure.js';

describe('outrider probe', () => {
  let server: Server;
  let at: string;
  before((done) => {
    server = createServer(({ url }, response) => {
      response.statusCode = url === '/live' ? 200 : 503;
      response.end(url === '/live' ? 'live\n' : 'upstream digits: no endpoint\nmore\n');
    }).listen(0, '127.0.0.1', () => {
      at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      done();
    });
  });
  after(() => server.close());

  it('succeeds for 200, and asks the address of OUTRIDER_PROBE where none is given', async () => {
    assert.equal(await probeCommand('live', at), 0);
    process.env['OUTRIDER_PROBE'] = at;
    try {
      assert.equal(await probeCommand('live'), 0);
    } finally {
      delete process.env['OUTRIDER_PROBE'];
    }
  });

  it('fails with the answer, in one line', async () => {
    const message = `not ready: ${at} answered 503: upstream digits: no endpoint`;
    await assert.rejects(probeCommand('ready', at), new CommandFailure(message));
  });

  it('fails where nothing listens, and for what it cannot ask', async () => {
    await assert.rejects(
      probeCommand('live', 'unix:/nowhere/x.sock'),
      /^CommandFailure: not live: unix:.*ENOENT/,
    );
    for (const [what, where] of [
      ['dead', at],
      ['live', 'nowhere'],
    ] as const)
      await assert.rejects(probeCommand(what, where), { exitCode: 2 });
  });
});
