import assert from 'node:assert/strict';
import type { AgentApi } from '../../../../sidecar/cli/consul/agent-api.js';
import {
  IntentionsFailure,
  intentionsToWrite,
  MeshIntentionWriter,
} from '../../../../sidecar/cli/consul/write-intentions.js';

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
    type Stored = {
      ID: string;
      SourceName: string;
      DestinationName: string;
      Action: string;
      Description?: string;
    };
    let stored: Stored[];
    let refuses: string | undefined;
    let status: number;
    /** Breaks the agent once it has been asked to write this source. */
    let breaksAt: string | undefined;
    let isAway: boolean;
    let asked: string[];
    const answer = (method: string, path: string, body?: unknown) => {
      asked.push(`${method} ${path}`);
      const said = body as Stored;
      if (isAway) throw new Error('ECONNREFUSED');
      if (refuses !== undefined && said?.SourceName === refuses) return { status, body: 'no leader' };
      change(method, path, said);
      if (breaksAt !== undefined && said?.SourceName === breaksAt) throw new Error('no answer');
      return { status: 200, body: method === 'GET' ? JSON.stringify(stored) : '{}' };
    };
    const change = (method: string, path: string, said: Stored) => {
      const at = stored.findIndex(({ ID }) => path.endsWith(`/${ID}`));
      if (method === 'POST') stored.push({ ...said, ID: `id-${++ids}` });
      if (method === 'PUT') stored[at] = { ...said, ID: stored[at]!.ID };
      if (method === 'DELETE') stored.splice(at, 1);
    };
    let ids = 0;
    const api = {
      get: async (path: string) => answer('GET', path),
      post: async (path: string, body: unknown) => answer('POST', path, body),
      put: async (path: string, body: unknown) => answer('PUT', path, body),
      delete: async (path: string) => answer('DELETE', path),
    } as unknown as AgentApi;
    const rules = () => stored.map((each) => `${each.SourceName} ${each.DestinationName} ${each.Action}`);
    let writer: MeshIntentionWriter;
    beforeEach(() => {
      [stored, asked, refuses, breaksAt, isAway, status] = [[], [], undefined, undefined, false, 500];
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

    /** How the agent did not take it. */
    const failure = async (mesh: Parameters<MeshIntentionWriter['write']>[0]): Promise<IntentionsFailure> => {
      const error: unknown = await writer.write(mesh).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof IntentionsFailure, String(error));
      return error;
    };
    const before = {
      intentions: [allow('a', 'b'), allow('d', 'b'), allow('e', 'b')],
      defaultIntention: 'allow',
    } as const;
    const after = {
      intentions: [deny('a', 'b'), deny('n', 'b'), deny('x', 'b'), allow('c', 'b')],
      defaultIntention: 'allow',
    } as const;
    const theirs = {
      ID: 'theirs',
      SourceName: 'x',
      DestinationName: 'b',
      Action: 'allow',
      Description: 'by hand',
    };
    const ALL = ['a b deny', 'x b deny', 'n b deny', 'c b allow'];

    it('are put back where an agent refused one, and written as a whole later', async () => {
      await writer.write(before);
      stored.push({ ...theirs });
      const had = rules();
      refuses = 'c';
      for (const [answered, mayPass] of [
        [500, true],
        [400, false],
      ] as const) {
        status = answered;
        const error = await failure(after);
        assert.equal(error.message, `consul did not take the intention c → b (allow): ${answered} no leader`);
        assert.deepEqual([error.left, error.mayPass, rules()], [[], mayPass, had]);
        assert.equal(stored.find(({ SourceName }) => SourceName === 'x')!.Description, 'by hand');
      }
      refuses = undefined;
      const lines = await writer.write(after);
      assert.deepEqual([lines.length, rules().sort()], [6, [...ALL].sort()]);
    });

    it('are put back where an agent did not answer, whether it has taken the last one or not', async () => {
      await writer.write(before);
      const had = rules();
      breaksAt = 'n';
      const { left, mayPass } = await failure(after);
      assert.deepEqual([left, mayPass, rules()], [[], true, had]);
    });

    it('that an agent has kept when it went away are named, and written again or taken back later', async () => {
      for (const [next, expected] of [
        [after, ['a b deny', 'c b allow', 'n b deny', 'x b deny']],
        [before, ['a b allow', 'd b allow', 'e b allow']],
      ] as const) {
        stored = [];
        writer = new MeshIntentionWriter(api);
        await writer.write(before);
        const { length } = asked;
        const put = api.post;
        api.post = async (path, body) => {
          const said = await put(path, body);
          isAway = true;
          if ((body as Stored).SourceName === 'n') throw new Error('no answer');
          return said;
        };
        const { left, mayPass } = await failure(after);
        api.post = put;
        assert.deepEqual(
          [left, mayPass],
          [['intention a → b: deny', 'intention n → b: deny, unless it was not taken'], true],
        );
        assert.ok(asked.length < length + 8, 'an agent that is away is not asked about each');
        isAway = false;
        await writer.write(next);
        assert.deepEqual(rules().sort(), expected);
        assert.deepEqual(await writer.write(next), [], 'it is known again');
      }
    });
  });

  it('say one thing about a pair, and deny wins', () => {
    const intentions = [allow('a', 'b'), deny('a', 'b'), allow('a', 'b')];
    assert.deepEqual(intentionsToWrite({ intentions, defaultIntention: 'allow' }), [deny('a', 'b')]);
  });
});
