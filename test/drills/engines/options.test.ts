import assert from 'node:assert/strict';
import { HelpRequested, UsageError } from '../../kit/process/command-line.js';
import { ROUNDS, readOptions } from './options.js';

describe('the command line of the engine drill', () => {
  it('has defaults', () => {
    assert.deepEqual(readOptions([]), {
      engine: 'vllm',
      times: { 'front-killed': 2, 'core-killed': 2, 'front-stopped': 1, 'core-frozen': 1 },
      rounds: ROUNDS,
      byTurns: 0,
      quickKills: 0,
      seed: 1,
    });
  });

  it('takes counts and rounds', () => {
    const { engine, times, rounds } = readOptions([
      '--fake',
      ...['--kills', '3', '--stops=0', '--only', 'aborted,core-killed'],
    ]);
    assert.deepEqual([engine, times['core-killed'], times['core-frozen']], ['fake', 3, 0]);
    assert.deepEqual(rounds, ['core-killed', 'aborted']);
  });

  it('takes kills by turns, in place of all else', () => {
    const { engine, byTurns } = readOptions(['--by-turns', '40']);
    assert.deepEqual([engine, byTurns], ['vllm', 40]);
  });

  it('says what it takes', () => {
    for (const flag of ['-h', '--help'])
      assert.throws(
        () => readOptions([flag]),
        (error) => error instanceof HelpRequested && ROUNDS.every((round) => error.message.includes(round)),
      );
  });

  for (const [args, why] of [
    [['--kill', '2'], /--kill/],
    [['--kills'], /--kills/],
    [['--kills', 'two'], /--kills: found two; expected a whole number/],
    [['--stops=-1'], /--stops: found -1/],
    [['--only', 'frozen'], /found frozen; expected one of front-killed/],
    [['--by-turns', 'all'], /--by-turns: found all; expected a whole number/],
    [
      ['--by-turns', '4', '--quick-kills', '4'],
      /found --by-turns beside --quick-kills; expected one of them/,
    ],
    [['--by-turns', '4', '--only', 'aborted'], /found --by-turns beside --only; expected one of them/],
    [['vllm'], /found vllm; expected options only/],
  ] as const)
    it(`refuses ${args.join(' ')}`, () => {
      assert.throws(
        () => readOptions(args),
        (error) => error instanceof UsageError && why.test(error.message),
      );
    });
});
