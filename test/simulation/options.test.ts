/** Each option of a sidecar file is drawn by the simulator, or there is a reason why not. */
import assert from 'node:assert/strict';
import { parseSidecarFile } from '../../sidecar/config/file/parse.js';
import { drawFiles } from './plan/draw.js';
import { allOptions, covers, drawnOptions, NOT_DRAWN, reasonOf } from './plan/options.js';

/** Of so many runs the files: rare features are in some of them. */
const RUNS = 600;
const PARSED_RUNS = 12;

describe('Options of a simulation', () => {
  const drawn = drawnOptions(RUNS);
  const all = allOptions();

  it('has each option of a sidecar file in a run, or a reason why not', () => {
    const missing = all.filter((option) => !drawn.has(option) && reasonOf(option) === undefined);
    assert.deepEqual(missing, []);
  });

  it('has no reason for an option that is drawn, or that no file has', () => {
    const idle = NOT_DRAWN.flatMap(({ options }) => options).filter((option) => {
      const own = all.filter((each) => covers(option, each));
      return own.length === 0 || own.some((each) => drawn.has(each));
    });
    assert.deepEqual(idle, []);
  });

  it('draws files that a sidecar takes', () => {
    const problems = Array.from({ length: PARSED_RUNS }, (_, seed) => drawFiles(seed))
      .flat()
      .flatMap((file) => {
        const parsed = parseSidecarFile(JSON.stringify(file), '/sim/sidecar.yaml');
        return parsed.ok ? [] : parsed.problems;
      });
    assert.deepEqual(problems, []);
  });
});
