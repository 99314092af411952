const cleanups: (() => unknown)[] = [];

// Registered at the root when this module is loaded, so it runs after every test of the process.
afterEach(async function () {
  this.timeout(60_000); // a mesh ends in 20 s at the latest
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Runs `cleanup` after the test that is running, also when it fails; the last one registered runs first. */
export function afterTest(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}
