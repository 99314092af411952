/** What is to be closed after the running test. */
const cleanups: (() => unknown)[] = [];

/** Hooks at the root of every run of mocha that requires this file: `.mocharc.json` does, and `mocha-worker.ts`. */
export const mochaHooks: Mocha.RootHookObject = {
  async afterEach(this: Mocha.Context) {
    this.timeout(60_000); // a mesh ends in 20 s at the latest
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  },
};

/** Runs `cleanup` after the test that is running, also when it fails; the last one registered runs first. */
export function afterTest(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}
