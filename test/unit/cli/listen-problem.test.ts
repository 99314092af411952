import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import { listenProblem, portProblem } from '../../../sidecar/cli/listen-problem.js';
import { afterTest } from '../../kit/mocha/after-test.js';

describe('why nothing can listen at an address', () => {
  it('is the process that has the port, by its id', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    afterTest(() => server.close());
    const { port } = server.address() as AddressInfo;
    const problem = await portProblem({ kind: 'tcp', host: '127.0.0.1', port });
    assert.match(
      problem!,
      new RegExp(`^cannot listen on 127.0.0.1:${port}: already taken by process ${process.pid} `),
    );
  });

  it('is nothing where the port is free, and for a Unix socket, whose program looks itself', async () => {
    assert.equal(await portProblem({ kind: 'tcp', host: '127.0.0.1', port: 0 }), undefined);
    assert.equal(await portProblem({ kind: 'unix', path: '/nowhere' }), undefined);
  });

  it('is what the system says of anything else', () => {
    const denied = Object.assign(new Error('listen EACCES'), { code: 'EACCES', address: '::1', port: 80 });
    assert.equal(listenProblem(denied), 'cannot listen on ::1:80: not permitted');
    assert.equal(listenProblem(new Error('something else')), 'something else');
  });
});
