import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { collect } from '../../../../sidecar/cli/page/collector.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { aStatusReport } from '../../../kit/stack/admin-view.js';

/** Asks a server with these answers; others are 404. */
async function asked(answers: Readonly<Record<string, unknown>>) {
  const paths: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    paths.push(url);
    const answer = answers[url.split('?')[0]!];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(() => server.close());
  const { port } = server.address() as AddressInfo;
  const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
  const [answer] = await collect([{ name: 'web-1', address }], (name) => (name === 'web-1' ? 41 : -1));
  return { answer: answer!, paths };
}

describe('what the page asks of a sidecar', () => {
  const all = { '/endpoints': aStatusReport(), '/faults': { faults: [] } };

  it('is its history since the last look, and no metrics', async () => {
    const record = { service: 'web', state: 'running' };
    const { answer, paths } = await asked({ ...all, '/history': { began: 7 }, '/rollout': { record } });
    assert.deepEqual([answer.history, answer.rollout], [{ began: 7 }, record]);
    assert.ok(paths.includes('/history?since=41') && !paths.includes('/metrics'), paths.join());
  });

  it('is its counters where it is of an earlier version and keeps no history', async () => {
    const { answer } = await asked({ ...all, '/metrics': 'a 1' });
    assert.deepEqual([answer.history, answer.metrics, answer.rollout], [undefined, 'a 1', undefined]);
  });

  it('is all or nothing', async () => {
    assert.match((await asked({ '/endpoints': aStatusReport() })).answer.problem!, /\/faults answered 404/);
    assert.match((await asked({ ...all, '/endpoints': {} })).answer.problem!, /not an Outrider admin server/);
  });
});
