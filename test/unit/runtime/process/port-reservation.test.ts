import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { reservePort } from '../../../../sidecar/runtime/process/port-reservation.js';

describe('a reservation of a port', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip();
  });

  /** No TCP port has this number, so that no other test reserves it. */
  const port = 100_000 + process.pid;

  it('is one at a time, and ends with its release', async () => {
    const first = await reservePort('127.0.0.1', port);
    assert.ok(first);
    assert.equal(await reservePort('127.0.0.1', port), undefined);
    const elsewhere = [await reservePort('127.0.0.2', port), await reservePort('127.0.0.1', port + 1)];
    assert.ok(elsewhere.every((each) => each !== undefined));
    first.release();
    const again = await reservePort('127.0.0.1', port);
    assert.ok(again);
    for (const each of [again, ...elsewhere]) each?.release();
  });

  const pairs = [
    ['0.0.0.0', '127.0.0.1', false],
    ['127.0.0.1', '0.0.0.0', false],
    ['127.0.0.2', '0.0.0.0', false],
    ['::', '127.0.0.1', false],
    ['localhost', '0.0.0.0', false],
    ['0.0.0.0', 'localhost', false],
    ['0.0.0.0', '::', false],
    ['127.0.0.1', '127.0.0.2', true],
    ['0.0.0.0', 'tests', true],
  ] as const;
  for (const [held, asked, isFree] of pairs)
    it(`of ${held} ${isFree ? 'leaves' : 'excludes'} ${asked}`, async () => {
      const first = await reservePort(held, port);
      assert.ok(first);
      const second = await reservePort(asked, port);
      first.release();
      second?.release();
      assert.equal(second !== undefined, isFree);
      const again = await reservePort(asked, port);
      assert.ok(again, 'a refusal holds nothing');
      again.release();
    });

  it('of localhost excludes the address that it stands for', async () => {
    const first = await reservePort('localhost', port);
    const second = [await reservePort('127.0.0.1', port), await reservePort('::1', port)];
    assert.ok(second.includes(undefined));
    for (const each of [first, ...second]) each?.release();
  });

  it('is made also where a process of another container with this process id looks for abstract names', () => {
    const file = new URL('../../../../sidecar/runtime/process/port-reservation.js', import.meta.url).href;
    const script = `
      import { createServer } from 'node:net';
      import { reservePort } from ${JSON.stringify(file)};
      const server = createServer();
      await new Promise((resolve) => server.listen({ path: '\\0outrider.port.' + process.pid + '.a' }, resolve));
      const both = [await reservePort('127.0.0.1', ${port}), await reservePort('127.0.0.1', ${port})];
      console.log(both.map((each) => each !== undefined).join());
      process.exit();`;
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    assert.equal(out.trim(), 'true,false');
  });
});
