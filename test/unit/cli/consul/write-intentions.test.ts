import assert from 'node:assert/strict';
import type { AgentApi } from '../../../../sidecar/cli/consul/agent-api.js';
import { intentionsToWrite, MeshIntentionWriter } from '../../../../sidecar/cli/consul/write-intentions.js';

describe('intentions of a mesh file in Consul', () => {
  const allow = (from: string, to: string) => ({ from, to, action: 'allow' }) as const;
  const deny = (from: string, to: string) => ({ from, to, action: 'deny' }) as const;

  it('get one for all services when the file denies by default', () => {
    const intentions = [allow('client', 'digits')];
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'deny' }), [
      allow('client', 'digits'),
      deny('*', '*'),
    ]);
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'allow' }), intentions);
  });

  it('keep what the file itself says about all services', () => {
    const intentions = [allow('*', '*'), deny('client', 'digits')];
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'deny' }), intentions);
  });

  it('are not written where one is about some models: there it would allow all of them', async () => {
    const asked: unknown[] = [];
    const api = { post: (...args: unknown[]) => asked.push(args) } as unknown as AgentApi;
    const intentions = [allow('a', 'b'), { ...allow('client', 'digits'), models: ['digits'] }];
    await assert.rejects(
      new MeshIntentionWriter(api).write({ intentions, defaultIntention: 'deny' }),
      /^CommandFailure: the intention client → digits allows some models only, which Consul cannot say; /,
    );
    assert.deepEqual(asked, []);
  });

  describe('in an agent', () => {
    type Stored = { ID: string; SourceName: string; DestinationName: string; Action: string };
    let stored: Stored[];
    let refuses: string | undefined;
    let asked: string[];
    const answer = (method: string, path: string, body?: unknown) => {
      asked.push(`${method} ${path}`);
      const said = body as Stored;
      if (refuses !== undefined && said?.SourceName === refuses) return { status: 500, body: 'no leader' };
      const at = stored.findIndex(({ ID }) => path.endsWith(`/${ID}`));
      if (method === 'GET') return { status: 200, body: JSON.stringify(stored) };
      if (method === 'POST') stored.push({ ...said, ID: `id-${stored.length}` });
      if (method === 'PUT') stored[at] = { ...said, ID: stored[at]!.ID };
      if (method === 'DELETE') stored.splice(at, 1);
      return { status: 200, body: '{}' };
    };
    const api = {
      get: async (path: string) => answer('GET', path),
      post: async (path: string, body: unknown) => answer('POST', path, body),
      put: async (path: string, body: unknown) => answer('PUT', path, body),
      delete: async (path: string) => answer('DELETE', path),
    } as unknown as AgentApi;
    const rules = () => stored.map((each) => `${each.SourceName} ${each.DestinationName} ${each.Action}`);
    let writer: MeshIntentionWriter;
    beforeEach(() => {
      [stored, asked, refuses] = [[], [], undefined];
      writer = new MeshIntentionWriter(api);
    });

    it('follow the file: what it allowed and now denies, what is new and what is gone', async () => {
      await writer.write({ intentions: [allow('a', 'b'), allow('c', 'b')], defaultIntention: 'deny' });
      assert.deepEqual(rules(), ['* * deny', 'a b allow', 'c b allow']);
      const lines = await writer.write({
        intentions: [deny('a', 'b'), allow('d', 'b')],
        defaultIntention: 'deny',
      });
      assert.deepEqual(rules(), ['* * deny', 'a b deny', 'd b allow']);
      assert.deepEqual(lines, [
        'intention a → b: deny',
        'intention d → b: allow',
        'intention c → b: deleted',
      ]);
    });

    it('that others wrote or changed stay, until the file says something else', async () => {
      await writer.write({ intentions: [allow('a', 'b')], defaultIntention: 'allow' });
      stored[0]!.Action = 'deny';
      stored.push({ ID: 'theirs', SourceName: 'x', DestinationName: 'b', Action: 'allow' });
      asked = [];
      assert.deepEqual(await writer.write({ intentions: [allow('a', 'b')], defaultIntention: 'allow' }), []);
      assert.deepEqual(asked, [], 'the file says what it said');
      await writer.write({ intentions: [allow('a', 'b'), deny('x', 'b')], defaultIntention: 'allow' });
      assert.deepEqual(rules(), ['a b deny', 'x b deny']);
    });

    it('are written as a whole after an agent refused one', async () => {
      refuses = 'c';
      const mesh = {
        intentions: [deny('a', 'b'), deny('c', 'b'), deny('d', 'b')],
        defaultIntention: 'allow',
      } as const;
      await assert.rejects(
        writer.write(mesh),
        /consul did not take the intention c → b \(deny\): 500 no leader/,
      );
      refuses = undefined;
      assert.deepEqual(await writer.write(mesh), ['intention c → b: deny', 'intention d → b: deny']);
      assert.deepEqual(rules(), ['a b deny', 'c b deny', 'd b deny']);
    });
  });

  it('say one thing about a pair, and deny wins', () => {
    const intentions = [allow('a', 'b'), deny('a', 'b'), allow('a', 'b')];
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'allow' }), [deny('a', 'b')]);
  });
});
