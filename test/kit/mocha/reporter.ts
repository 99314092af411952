/** Mocha's own report, then one plain line that any tool can read: `N passed, N failed, N skipped`. */

import Mocha from 'mocha';

export class ClosingLine extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      process.stdout.write(`\n${passes} passed, ${failures} failed, ${pending} skipped\n`);
    });
  }
}

// Mocha loads reporters by `require(...)`, or the default export of a module.
export { ClosingLine as default };
