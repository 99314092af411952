import assert from 'node:assert/strict';
import { Priorities } from '../../../../sidecar/core/admission/priority-class.js';

describe('Priorities', () => {
  const classes = ['interactive', 'batch', 'background'];
  const priorities = new Priorities({ key: 'x-class', classes, defaultClass: 'batch' });

  for (const [value, queueClass] of [
    ['interactive', 0],
    ['batch', 1],
    ['background', 2],
    ['', 1],
    ['Interactive', 1],
    [' interactive', 1],
    ['interactive,batch', 1],
    ['0', 1],
    ['-1', 1],
    ['__proto__', 1],
    ['constructor', 1],
    ['\u0000\u00ff', 1],
    ['x'.repeat(100_000), 1],
  ] as const)
    it(`gives the value ${JSON.stringify(value.slice(0, 20))} class ${queueClass}`, () =>
      assert.equal(priorities.classOf(value), queueClass));

  it('has a longest wait for each class, as far as one is said', () => {
    const bounded = new Priorities({ key: 'k', classes, defaultClass: 'batch', maxWait: [50, 0] });
    assert.deepEqual(
      [0, 1, 2].map((each) => bounded.maxWaitMs(each)),
      [50, 0, 0],
    );
    assert.equal(priorities.maxWaitMs(0), 0);
  });

  it('gives a class that is bound to callers to them alone, and the class of no name to others', () => {
    const callers = [{ class: 'interactive', callers: ['web', 'app'] }];
    const models = [{ model: 'small', class: 'interactive' }];
    const bound = new Priorities({ key: 'k', classes, defaultClass: 'background', callers, models });
    assert.equal(bound.classOf('interactive', '', 'web'), 0);
    assert.equal(bound.classOf('interactive', '', 'app'), 0);
    assert.equal(bound.classOf('interactive', '', 'crawler'), 2);
    assert.equal(bound.classOf('interactive'), 2, 'a peer without identity');
    assert.equal(bound.classOf('batch', '', 'crawler'), 1, 'a class of everybody');
    assert.equal(bound.defaultFor('small'), 0, 'the operator has said so of the model');
  });

  it('gives a call that names no class that of its model', () => {
    const models = [
      { model: 'small', class: 'interactive' },
      { model: 'odd', class: 'nothing' },
    ];
    const byModel = new Priorities({ key: 'k', classes, defaultClass: 'background', models });
    const of = (value: string): number[] =>
      ['small', 'large', 'odd', ''].map((model) => byModel.classOf(value, model));
    assert.deepEqual(of(''), [0, 2, 2, 2]);
    assert.deepEqual(of('batch'), [1, 1, 1, 1], 'what it says itself goes first');
    assert.equal(byModel.defaultFor('small'), 0);
  });

  it('knows the length of the longest name', () => assert.equal(priorities.longest, 'interactive'.length));

  it('gives calls the least important class where the configured one does not exist', () =>
    assert.equal(new Priorities({ key: 'k', classes, defaultClass: 'nothing' }).classOf(''), 2));
});
