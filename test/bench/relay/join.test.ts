import assert from 'node:assert/strict';
import { joinReports } from './join.js';
import { MADE_FIGURES } from './made-figures.js';
import type { Report } from './main.js';
import { MODES } from './modes.js';
import { judge, summarise } from './results.js';

const MACHINE = { cpu: 'a', cores: 2, memoryGb: 1, kernel: '6', node: 'v20' };

function reportOf(modeName: string, cpuUs: number, rest: Partial<Report> = {}): string {
  const mode = MODES.find(({ name }) => name === modeName)!;
  const figures = { ...MADE_FIGURES, cpuUs };
  const modes = [judge(mode, [summarise({ name: 'outrider', isPeer: false }, [figures], mode)])];
  return JSON.stringify({ machine: MACHINE, versions: { outrider: 'abc' }, runs: 9, modes, ...rest });
}

describe('joined reports of the relay', () => {
  it('have the modes and subjects of all, and of a mode that is there twice the later', () => {
    const joined = joinReports(
      new Map([
        ['a', reportOf('hop-128', 1)],
        ['b', reportOf('stream', 2, { versions: { outrider: 'abc', haproxy: '2' } })],
        ['c', reportOf('hop-128', 3)],
      ]),
    );
    assert.deepEqual(joined.versions, { outrider: 'abc', haproxy: '2' });
    assert.deepEqual(
      joined.modes.map(({ name, subjects }) => [name, subjects[0]!.cpuUs.median]),
      [
        ['hop-128', 3],
        ['stream', 2],
      ],
    );
  });

  it('are of one machine, one version of each subject and as many runs', () => {
    const others: readonly Partial<Report>[] = [
      { machine: { ...MACHINE, cores: 4 } },
      { versions: { outrider: 'def' } },
      { runs: 3 },
    ];
    for (const other of others) {
      const texts = new Map([
        ['a.json', reportOf('hop-128', 1)],
        ['b.json', reportOf('stream', 1, other)],
      ]);
      assert.throws(() => joinReports(texts), /--join: b\.json: .*expected .*, as in the others/);
    }
  });

  it('are refused where a file is none', () => {
    for (const text of ['', '{}', '[1]', '{"modes": [{}]}'])
      assert.throws(() => joinReports(new Map([['a.json', text]])), /--join: a\.json: expected what/);
    assert.throws(() => joinReports(new Map()), /found no file/);
  });
});
