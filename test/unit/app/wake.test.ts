import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { wake } from '../../../sidecar/app/wake.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';

const FACTS = { upstream: 'digits', waiting: 3 };

/** A server that answers with this status, and what it was asked. */
async function serve(status: number): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', () => {
      asked.push(`${request.method} ${request.url} ${body}`);
      response.writeHead(status, { location: '/elsewhere' }).end('answer');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/wake?x=1`, asked };
}

describe('Asking for the start of a service', () => {
  it('is a POST of what waits', async () => {
    const { url, asked } = await serve(202);
    assert.equal(await wake({ url, intervalMs: 1_000 }, FACTS, {}), '');
    assert.deepEqual(asked, ['POST /wake?x=1 {"upstream":"digits","waiting":3}']);
  });

  it('failed where another status comes, and nothing is followed, or nothing answers', async () => {
    for (const status of [302, 404, 500]) {
      const { url, asked } = await serve(status);
      assert.match(await wake({ url, intervalMs: 1_000 }, FACTS, {}), new RegExp(`status ${status}$`));
      assert.equal(asked.length, 1);
    }
    assert.match(await wake({ url: 'http://127.0.0.1:1/', intervalMs: 1_000 }, FACTS, {}), /^http:.*: .+/);
  });

  it('is a program with that in its environment, run without a shell', async () => {
    const file = join(scratchForTest().path, 'told');
    const script =
      'require("fs").writeFileSync(process.argv[1], [process.env.OUTRIDER_WAKE_UPSTREAM, process.env.OUTRIDER_WAKE_WAITING, process.env.OWN].join(" "))';
    const command = [process.execPath, '-e', script, file];
    assert.equal(await wake({ command, intervalMs: 1_000 }, FACTS, { OWN: 'kept' }), '');
    assert.equal(readFileSync(file, 'utf8'), 'digits 3 kept');
    const strange = `${file};touch ${file}2`;
    assert.equal(
      await wake({ command: [process.execPath, '-e', '0', strange], intervalMs: 1_000 }, FACTS, {}),
      '',
    );
    assert.ok(!existsSync(`${file}2`));
  });

  it('failed where there is no such program, or it ends otherwise than well', async () => {
    const run = (...command: string[]) => wake({ command, intervalMs: 1_000 }, FACTS, {});
    assert.match(await run('/no/such/program'), /^\/no\/such\/program: .*ENOENT/);
    // Longer than an argument may be (MAX_ARG_STRLEN, execve(2)): spawn throws.
    assert.match(await run(process.execPath, 'x'.repeat(200_000)), /: spawn E2BIG$/);
    assert.match(await run(process.execPath, '-e', 'process.exit(3)'), /ended with exit code 3$/);
    assert.match(
      await run(process.execPath, '-e', 'process.kill(process.pid, 9)'),
      /ended with signal SIGKILL$/,
    );
  });
});
