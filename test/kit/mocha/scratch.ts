import { Scratch } from '../process/outrider.js';
import { afterTest } from './after-test.js';

/** A scratch directory that is another one for each test of the describe block around it. */
export function scratchForEach(): Pick<Scratch, 'path' | 'write'> {
  let current: Scratch;
  beforeEach(() => {
    current = scratchForTest();
  });
  return {
    get path() {
      return current.path;
    },
    write: (name, text) => current.write(name, text),
  };
}

/** One that is removed after the running test. */
export function scratchForTest(): Scratch {
  const scratch = new Scratch();
  afterTest(() => scratch.remove());
  return scratch;
}
