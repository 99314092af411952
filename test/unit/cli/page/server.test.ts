import assert from 'node:assert/strict';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { MeshView } from '../../../../sidecar/cli/page/mesh-view.js';
import { type PageDeps, type PageServer, servePage } from '../../../../sidecar/cli/page/server.js';

describe('the server of the mesh page', () => {
  const changed: string[] = [];
  let page: PageServer;
  const deps: PageDeps = {
    moment: () => new MeshView().moment(0),
    change: async (sidecar, what) => {
      changed.push(`${what} ${sidecar}`);
      return { ok: sidecar === 'a b', says: `${sidecar}: said` };
    },
  };

  beforeEach(async () => {
    changed.length = 0;
    page = await servePage({ host: '127.0.0.1', port: 0 }, deps);
  });

  afterEach(() => page.close());

  const ask = (path: string, method = 'GET', headers: Record<string, string> = {}) =>
    new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }>(
      (resolve, reject) => {
        const asked = request({ ...page.address, path, method, headers, agent: false }, (response) => {
          const { statusCode: status = 0, headers: said } = response;
          text(response).then((body) => resolve({ status, headers: said, body }), reject);
        });
        asked.on('error', reject).end();
      },
    );

  it('lets the page run its own style and script only, with a nonce that is new each time', async () => {
    const policies = [await ask('/'), await ask('/')].map(({ headers }) =>
      String(headers['content-security-policy']),
    );
    for (const policy of policies) {
      assert.match(policy, /default-src 'none'/);
      assert.match(policy, /frame-ancestors 'none'/);
      assert.doesNotMatch(policy, /unsafe|\*|http/);
    }
    assert.notEqual(policies[0], policies[1]);
  });

  it('asks for a drain by POST only, and shows the page again', async () => {
    assert.deepEqual(
      [(await ask('/drain?sidecar=a')).status, (await ask('/', 'POST')).status, (await ask('/x')).status],
      [405, 405, 404],
    );
    assert.deepEqual(changed, []);
    const { status, headers } = await ask('/drain?sidecar=a%20b', 'POST');
    assert.deepEqual([status, headers['location']], [303, './']);
    const refused = await ask('/undrain?sidecar=%3Cb%3Ec', 'POST');
    assert.equal(refused.status, 502);
    assert.match(refused.body, /Not done: &lt;b&gt;c: said<.*href="\.\/">Back/);
    const nonce = /nonce="([^"]+)"/.exec(refused.body)?.[1];
    assert.ok(String(refused.headers['content-security-policy']).includes(`'nonce-${nonce}'`));
    assert.deepEqual(changed, ['drain a b', 'undrain <b>c']);
  });

  it('with a key, is there for those who know it, and for nobody else', async () => {
    await page.close();
    const key = 'k'.repeat(32);
    page = await servePage({ host: '127.0.0.1', port: 0, key }, deps);
    const wrong = [
      '',
      '/x',
      `/${key}`,
      `/${key}x/`,
      `/${key.slice(1)}x/`,
      '/drain?sidecar=a%20b',
      `/drain/${key}/`,
    ];
    for (const path of wrong)
      for (const method of ['GET', 'POST']) assert.equal((await ask(path || '/', method)).status, 403, path);
    assert.deepEqual(changed, []);
    assert.equal((await ask(`/${key}/`)).status, 200);
    assert.equal((await ask(`/${key}/main?since=-1`)).status, 200);
    assert.equal((await ask(`/${key}/drain?sidecar=a`)).status, 405);
    const { status, headers } = await ask(`/${key}/drain?sidecar=a%20b`, 'POST');
    assert.deepEqual([status, headers['location'], changed], [303, './', ['drain a b']]);
  });

  it('gives what is new as JSON: the content, and what the charts lack', async () => {
    const { headers, body } = await ask('/main?since=-1');
    assert.match(String(headers['content-type']), /^application\/json/);
    const { html, series } = JSON.parse(body);
    assert.match(html, /^<main>/);
    assert.deepEqual(series.groups, []);
  });

  it('refuses what another site makes a browser ask', async () => {
    for (const headers of [
      { origin: 'http://evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { host: 'evil.example' },
    ] as Record<string, string>[])
      assert.equal((await ask('/drain?sidecar=a', 'POST', headers)).status, 403);
    assert.equal((await ask('/', 'GET', { host: 'evil.example' })).status, 403);
    assert.equal((await ask('/main', 'GET', { 'sec-fetch-site': 'same-site' })).status, 403);
    assert.deepEqual(changed, []);
  });
});
