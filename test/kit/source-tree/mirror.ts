/** The mirror rule: where the unit test of a source file lies, and which files need one. */
import type { Complaints } from './rules.js';
import type { SourceFile } from './source-file.js';

/** Folders of sources; those of `sidecar/` stand in `test/unit/` without that prefix, the others with their own. */
const SOURCE_ROOTS = ['sidecar/', 'proto/', 'services/', 'tools/'];
const UNIT_ROOT = 'test/unit/';
const UNIT_TEST = /^test\/unit\/(.*\/)?([^/.]+)(\.[^/]+)?\.test\.ts$/;

/**
 * A source file has logic when it decides more often than this. A decision is an `if`, a loop, a `case`, a `catch`, a
 * conditional expression, `&&`, `||` or `??`. Types, constants and straight-line wiring stay below it.
 */
const DECISIONS_WITHOUT_TEST = 5;

/** For each source file with logic but without a unit test of its own path: the test that covers it. */
export type CoveredElsewhere = Readonly<Record<string, string>>;

/** Files that start a program: a test that imports one runs what the program's main file imports. */
const STARTED_BY: Readonly<Record<string, string>> = {
  'sidecar/cli/own-model/authoring-process.ts': 'services/model-server/authoring/main.ts',
  'test/kit/deploy/podman.ts': 'tools/image/main.ts',
  'test/kit/process/outrider.ts': 'sidecar/main.ts',
  'test/kit/process/sidecars.ts': 'sidecar/main.ts',
  'test/kit/service/made-models.ts': 'services/models.ts',
  'test/kit/service/model-server.ts': 'services/model-server/main.ts',
};

/** `test/unit/X/Y.test.ts` and `test/unit/X/Y.ASPECT.test.ts` belong to `sidecar/X/Y.ts`, or to `X/Y.ts`. */
export function unitTestsWithoutSource(files: readonly SourceFile[]): Complaints {
  const known = new Set(files.map(({ path }) => path));
  return files
    .filter(({ path }) => path.startsWith(UNIT_ROOT) && path.endsWith('.test.ts') && !sourceOf(path, known))
    .map(({ path }) => {
      const name = UNIT_TEST.exec(path)?.slice(1, 3).join('') ?? path.slice(UNIT_ROOT.length);
      return `${path}: tests neither sidecar/${name}.ts nor ${name}.ts; move it to where its source file is`;
    });
}

/** Source files with logic that have no unit test of their own path and no line in `elsewhere`. */
export function sourcesWithoutTest(files: readonly SourceFile[], elsewhere: CoveredElsewhere): Complaints {
  const tested = testedSources(files);
  return files
    .filter((file) => hasLogic(file) && !tested.has(file.path) && !Object.hasOwn(elsewhere, file.path))
    .map(
      ({ path, decisions }) =>
        `${path}: has ${decisions} decisions and no unit test; add ${unitTestOf(path)}, or a line in test/unit/covered-elsewhere.ts`,
    );
}

/** Lines of `elsewhere` that are not needed, or that name a test which never loads the source file. */
export function wrongCoveredElsewhere(files: readonly SourceFile[], elsewhere: CoveredElsewhere): Complaints {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const tested = testedSources(files);
  const loaded = new Map<string, ReadonlySet<string>>();
  return Object.entries(elsewhere).flatMap(([path, test]) => {
    const source = byPath.get(path);
    const complain = (what: string): string[] => [`test/unit/covered-elsewhere.ts: ${path} ${what}`];
    if (source === undefined) return complain('does not exist');
    if (tested.has(path)) return complain('has a unit test of its own path; remove the line');
    if (!hasLogic(source)) return complain('has no logic (any more); remove the line');
    if (!byPath.has(test)) return complain(`is to be covered by ${test}, which does not exist`);
    if (!loaded.has(test)) loaded.set(test, loadedBy(test, byPath));
    return loaded.get(test)!.has(path) ? [] : complain(`is to be covered by ${test}, which never loads it`);
  });
}

function hasLogic({ path, decisions }: SourceFile): boolean {
  return SOURCE_ROOTS.some((root) => path.startsWith(root)) && decisions > DECISIONS_WITHOUT_TEST;
}

function unitTestOf(path: string): string {
  return UNIT_ROOT + path.replace(/^sidecar\//, '').replace(/\.ts$/, '.test.ts');
}

function sourceOf(test: string, known: ReadonlySet<string>): string | undefined {
  const [, folder = '', name = ''] = UNIT_TEST.exec(test) ?? [];
  const source = `${folder}${name}.ts`;
  return [`sidecar/${source}`, source].find((path) => known.has(path));
}

function testedSources(files: readonly SourceFile[]): ReadonlySet<string | undefined> {
  const known = new Set(files.map(({ path }) => path));
  return new Set(files.map(({ path }) => sourceOf(path, known)));
}

/** Every file that `start` imports or starts as a program, directly or through others. */
function loadedBy(start: string, byPath: ReadonlyMap<string, SourceFile>): ReadonlySet<string> {
  const found = new Set([start]);
  for (const path of found) {
    for (const { target } of byPath.get(path)?.imports ?? []) found.add(target);
    const program = STARTED_BY[path];
    if (program !== undefined) found.add(program);
  }
  return found;
}
