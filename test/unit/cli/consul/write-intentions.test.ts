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
      Permissions?: readonly unknown[];
    };
    let stored: Stored[];
    let refuses: string | undefined;
    let status: number;
    let says: string;
    /** Breaks the agent once it has been asked to write this source. */
    let breaksAt: string | undefined;
    let isAway: boolean;
    let asked: string[];
    const answer = (method: string, path: string, body?: unknown) => {
      asked.push(`${method} ${path}`);
      const said = body as Stored;
      if (isAway) throw new Error('ECONNREFUSED');
      if (refuses !== undefined && said?.SourceName === refuses) return { status, body: says };
      change(method, path, said);
      if (breaksAt !== undefined && said?.SourceName === breaksAt) throw new Error('no answer');
      return { status: 200, body: method === 'GET' ? JSON.stringify(stored) : '{}' };
    };
    const change = (method: string, path: string, said: Stored) => {
      const at = stored.findIndex(({ ID, SourceName, DestinationName }) =>
        ID === ''
          ? path === `/connect/intentions/exact?source=${SourceName}&destination=${DestinationName}`
          : path.endsWith(`/${ID}`),
      );
      if (method === 'PUT' && at < 0 && path.includes('/exact?')) stored.push({ ...said, ID: '' });
      else if (method === 'POST') stored.push({ ...said, ID: `id-${++ids}` });
      else if (method === 'PUT') stored[at] = { ...said, ID: stored[at]!.ID };
      else if (method === 'DELETE') stored.splice(at, 1);
    };
    let ids = 0;
    const methods = {
      get: async (path: string) => answer('GET', path),
      post: async (path: string, body: unknown) => answer('POST', path, body),
      put: async (path: string, body: unknown) => answer('PUT', path, body),
      delete: async (path: string) => answer('DELETE', path),
    };
    const api = { ...methods } as unknown as AgentApi;
    const rules = () => stored.map((each) => `${each.SourceName} ${each.DestinationName} ${each.Action}`);
    let writer: MeshIntentionWriter;
    beforeEach(() => {
      [stored, asked, refuses, breaksAt, isAway, status] = [[], [], undefined, undefined, false, 500];
      says = 'No cluster leader';
      Object.assign(api, methods);
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
    const permissions = { Action: '', Permissions: [{ Action: 'allow', HTTP: { PathExact: '/' } }] };
    const LEGACY =
      'cannot use legacy intention API to edit intentions with a destination of "b" after editing them via a service-intentions config entry';
    const ALL = ['a b deny', 'x b deny', 'n b deny', 'c b allow'];

    it('are put back where an agent refused one, and written as a whole later', async () => {
      await writer.write(before);
      stored.push({ ...theirs });
      const had = rules();
      refuses = 'c';
      for (const [answered, said, mayPass] of [
        [500, 'No cluster leader', true],
        [500, 'rpc error making call: EOF', true],
        [503, 'away', true],
        [500, LEGACY, false],
        [500, `rpc error making call: ${LEGACY}`, false],
        [400, 'Bad request', false],
      ] as const) {
        [status, says] = [answered, said];
        const error = await failure(after);
        assert.equal(error.message, `consul did not take the intention c → b (allow): ${answered} ${said}`);
        assert.deepEqual([error.left, error.mayPass, rules()], [[], mayPass, had]);
        assert.equal(stored.find(({ SourceName }) => SourceName === 'x')!.Description, 'by hand');
      }
      refuses = undefined;
      const lines = await writer.write(after);
      assert.deepEqual([lines.length, rules().sort()], [6, [...ALL].sort()]);
    });

    it('are put back where an agent has no leader, whether it has taken the last one or not', async () => {
      await writer.write(before);
      const had = rules();
      const { post } = api;
      api.post = async (path, body) => {
        const answered = await post(path, body);
        return (body as Stored).SourceName === 'n' ? { status: 500, body: 'leadership lost' } : answered;
      };
      const { left, mayPass } = await failure(after);
      assert.deepEqual([left, mayPass, rules()], [[], true, had]);
    });

    it('that it neither takes nor puts back are named, and not tried for ever, unless it was away', async () => {
      const { put } = methods;
      for (const [said, mayPass] of [
        [LEGACY, false],
        ['No cluster leader', true],
      ] as const) {
        stored = [{ ...theirs }];
        writer = new MeshIntentionWriter(api);
        api.post = async () => ({ status: 500, body: LEGACY });
        api.put = async (path, body) =>
          (body as Stored).Action === 'allow' ? { status: 500, body: said } : put(path, body);
        const failed = await failure({
          intentions: [deny('x', 'b'), allow('c', 'b')],
          defaultIntention: 'allow',
        });
        assert.deepEqual([failed.left, failed.mayPass], [['intention x → b: deny'], mayPass]);
      }
    });

    it('are put back with their descriptions, though their actions are those of the file', async () => {
      stored = [{ ...theirs }];
      refuses = 'y';
      const { left } = await failure({
        intentions: [allow('x', 'b'), allow('y', 'b')],
        defaultIntention: 'allow',
      });
      assert.deepEqual([left, stored[0]!.Description], [[], 'by hand']);
    });

    it('that were written by their names are put back by their names', async () => {
      await writer.write(before);
      // As `consul intention` of Consul 1.9 and newer does.
      for (const each of stored) each.ID = '';
      const had = rules().sort();
      const { delete: remove } = methods;
      // It deletes two, and takes none by the old way afterwards.
      api.post = async () => ({ status: 500, body: LEGACY });
      api.delete = async (path) => (path.includes('source=e') ? { status: 500, body: LEGACY } : remove(path));
      const { left, mayPass } = await failure({
        intentions: [allow('a', 'b')],
        defaultIntention: 'allow',
      });
      assert.deepEqual([left, mayPass, rules().sort()], [[], false, had]);
    });

    it('are not written over those with permissions, which could not be put back', async () => {
      await writer.write(before);
      for (const source of ['x', 'd']) {
        const had = JSON.stringify(stored);
        const theirsNow = stored.find(({ SourceName }) => SourceName === source);
        if (theirsNow === undefined) stored.push({ ...theirs, ...permissions });
        else Object.assign(theirsNow, permissions);
        const now = JSON.stringify(stored);
        asked = [];
        const { left, mayPass, message } = await failure(after);
        assert.deepEqual([left, mayPass, JSON.stringify(stored), asked.length], [[], false, now, 1]);
        assert.match(message, new RegExp(`^the intention ${source} → b has permissions in Consul, `));
        stored = JSON.parse(had);
      }
    });

    it('are put back where an agent did not answer, whether it has taken the last one or not', async () => {
      await writer.write(before);
      const had = rules();
      breaksAt = 'n';
      const { left, mayPass } = await failure(after);
      assert.deepEqual([left, mayPass, rules()], [[], true, had]);
    });

    it('of others stay where an agent went away before it took one for their services', async () => {
      const { put } = methods;
      const next = { intentions: [deny('n', 'b')], defaultIntention: 'allow' } as const;
      // What a mesh file cannot say is refused only where it would be overwritten or deleted.
      for (const now of [{}, permissions]) {
        writer = new MeshIntentionWriter(api);
        stored = [{ ...theirs, SourceName: 'n' }];
        api.put = async () => {
          isAway = true;
          throw new Error('no answer');
        };
        const { left } = await failure(next);
        assert.deepEqual(left, ['intention n → b: deny, unless it was not taken']);
        isAway = false;
        api.put = put;
        Object.assign(stored[0]!, now);
        const had = JSON.stringify(stored);
        assert.deepEqual(await writer.write({ ...next, intentions: [] }), []);
        assert.equal(JSON.stringify(stored), had);
      }
    });

    it('of others that stay are not named among what an agent that went away has left', async () => {
      const { post } = methods;
      api.post = async (path, body) => {
        const answered = await post(path, body);
        if ((body as Stored).SourceName !== 'm') return answered;
        isAway = true;
        throw new Error('no answer');
      };
      const next = { intentions: [deny('n', 'b'), deny('m', 'b')], defaultIntention: 'allow' } as const;
      assert.equal((await failure(next)).left.length, 2);
      isAway = false;
      Object.assign(stored[0]!, { Action: 'allow', Description: 'by hand' });
      api.delete = async () => {
        isAway = true;
        throw new Error('no answer');
      };
      const { left } = await failure({ ...next, intentions: [] });
      assert.deepEqual(left, ['intention m → b: deleted, unless it was not taken']);
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
