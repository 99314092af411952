/** What the admin port takes for a rollout. */
import assert from 'node:assert/strict';
import { changeRollout, type RolloutAdmin, showRollout } from '../../../sidecar/admin/rollouts.js';
import type { RolloutAnswer } from '../../../sidecar/core/models/rollout.js';

describe('/rollout', () => {
  let asked: unknown[];
  const refusal: RolloutAnswer = { kind: 'refused', why: 'a rollout is under way' };
  const admin: RolloutAdmin = {
    view: () => ({ where: 'here', replicas: [], problem: '' }),
    begin: async (...all) => {
      asked.push(all);
      return refusal;
    },
    command: async (command) => {
      asked.push(command);
      return refusal;
    },
  };
  const post = (query: string) => changeRollout(admin, new URLSearchParams(query));
  beforeEach(() => {
    asked = [];
  });

  it('begins one with what is asked for, or changes it', async () => {
    assert.deepEqual(await post('model=digits&version=2'), { status: 409, body: 'a rollout is under way\n' });
    await post('model=digits&version=2&canary=5%25&window=30s');
    await post('model=digits&version=2&canary=0.25');
    await post('command=pause');
    assert.deepEqual(asked, [
      ['digits', '2', {}],
      ['digits', '2', { canary: 0.05, windowMs: 30_000 }],
      ['digits', '2', { canary: 0.25 }],
      'pause',
    ]);
  });

  for (const [query, problem] of [
    ['version=2', /^model: missing/],
    ['model=digits', /^version: found ""; expected a whole number/],
    ['model=digits&version=02', /^version: found "02"/],
    ['model=digits&version=2&canary=lots', /^canary: found "lots"; expected a share/],
    ['model=digits&version=2&canary=60%25', /^canary: found "60%"/],
    ['model=digits&version=2&window=soon', /^window: found "soon"/],
    ['model=digits&version=2&window=10ms', /^window: found "10ms"/],
    ['command=stop', /^command: found "stop"; expected pause, resume, abort/],
    ['modle=digits', /^found the parameter "modle"; did you mean model\?/],
  ] as const)
    it(`refuses ${query}, and says why`, async () => {
      const { status, body } = await post(query);
      assert.equal(status, 400);
      assert.match(String(body), problem);
      assert.deepEqual(asked, []);
    });

  it('says what is needed where nothing is rolled out', async () => {
    assert.equal(showRollout(undefined).status, 404);
    assert.match(
      String((await changeRollout(undefined, new URLSearchParams('command=pause'))).body),
      /block `rollout`/,
    );
    assert.equal(showRollout(admin).status, 200);
  });
});
