/** `npm run lines`: how many lines each folder of sources has, without comments, and how many of them are comments. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { commentShare, countLines, sumOfLines } from './line-counts.js';

const ROOTS = ['proto', 'services', 'sidecar', 'test', 'tools'];

const rows = ROOTS.flatMap((root) => {
  const inside = readdirSync(root, { withFileTypes: true });
  const folders = inside.filter((entry) => entry.isDirectory()).map(({ name }) => `${root}/${name}`);
  return root === 'sidecar' || root === 'test' ? [root, ...folders] : [root];
});

console.log('folder                  lines   without comments   comments of lines not blank');
for (const folder of rows) {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => name.endsWith('.ts') && !name.includes('node_modules'));
  const counts = sumOfLines(files.map((name) => countLines(readFileSync(join(folder, name), 'utf8'))));
  if (counts.lines === 0) continue;
  const without = counts.lines - counts.comments;
  const share = `${(100 * commentShare(counts)).toFixed(1)} %`;
  console.log(
    `${folder.padEnd(20)} ${String(counts.lines).padStart(8)} ${String(without).padStart(18)} ${share.padStart(29)}`,
  );
}
