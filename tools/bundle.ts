/**
 * `npm run build`, after the compiler: the program in a few files, `dist/bundle/`. A sidecar starts in half the time when
 * it has not 700 modules to find and read (`npm run bench -- relay --only start`). `dist/sidecar/main.js` runs it where it
 * is not older than what the compiler wrote. Of the model server, which is not bundled, one module gets its packages inside.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { inlineParsers, REQUIRE } from './inline-parsers.js';
import { oneLanguage } from './one-language.js';

const OUT = 'dist/bundle';

/** A module knows where it lies, and finds what lies beside it, by its own address and not by that of the bundle. */
const ownAddress: Plugin = {
  name: 'own-address',
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/(?:sidecar|proto)\/.*\.js$/ }, ({ path }) => {
      const from = JSON.stringify(relative(OUT, path));
      const text = readFileSync(path, 'utf8');
      return { contents: text.replaceAll('import.meta.url', `new URL(${from}, import.meta.url).href`) };
    });
  },
};

/** V8 keeps the text of a module in one byte a character where all are ASCII, else in two for as long as the process lives. */
function escaped(text: string): string {
  // Half of a pair at a time: it stands in string literals, in regular expressions and in comments.
  return text.replace(/[^\0-\x7f]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What the packages in the bundle ask to be said with every copy. */
function licences(inputs: readonly string[]): string {
  const folders = new Set(
    inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  );
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    const text = file === undefined ? '' : `\n\n${readFileSync(join(folder, file), 'utf8').trim()}`;
    return `${name} ${version}, ${license}${text}\n`;
  });
  return texts.join(`\n${'-'.repeat(80)}\n\n`);
}

rmSync(OUT, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ['dist/sidecar/cli/program.js'],
  outdir: OUT,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: true,
  metafile: true,
  legalComments: 'none',
  logLevel: 'warning',
  external: ['onnxruntime-node', '@grpc/grpc-js', '@grpc/proto-loader'],
  banner: { js: REQUIRE },
  plugins: [ownAddress, oneLanguage],
});
await inlineParsers();
// The pages: what runs in the browser is one script and one style, which go into each document.
const page = await build({
  entryPoints: [
    { in: 'sidecar/admin/browser/main.ts', out: 'page' },
    { in: 'sidecar/admin/browser/page.css', out: 'page' },
  ],
  outdir: OUT,
  bundle: true,
  platform: 'browser',
  format: 'iife',
  target: 'es2022',
  minify: true,
  metafile: true,
  legalComments: 'none',
  logLevel: 'warning',
});
for (const name of readdirSync(OUT).filter((each) => each.endsWith('.js'))) {
  const file = join(OUT, name);
  writeFileSync(file, escaped(readFileSync(file, 'utf8')));
}
writeFileSync(
  join(OUT, 'LICENCES.txt'),
  licences([...Object.keys(metafile.inputs), ...Object.keys(page.metafile.inputs)]),
);
