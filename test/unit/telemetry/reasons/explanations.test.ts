import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from '../../../../sidecar/cli/program.js';
import { sidecarFile } from '../../../../sidecar/config/options/sidecar-file.js';
import { LocalReplyReasons, ModelReplyReasons } from '../../../../sidecar/core/outcome/local-reply-reason.js';
import type { Explanation } from '../../../../sidecar/telemetry/reasons/explanation.js';
import { EXPLANATIONS } from '../../../../sidecar/telemetry/reasons/explanations.js';
import { optionsOf, type ValueShape } from '../../../../tools/option-tree.js';
import { packageRoot } from '../../../kit/process/package-root.js';

const entries: readonly (readonly [string, Explanation])[] = Object.entries(EXPLANATIONS);
const textsOf = ({ meaning, causes, look, remedy }: Explanation): string[] => [
  meaning,
  ...[causes, look, remedy].flat(),
];

/** The path of every option of a sidecar file, as REFERENCE.md writes it. */
function pathsOf(path: string, value: ValueShape): string[] {
  switch (value.kind) {
    case 'plain':
      return [];
    case 'list':
      return pathsOf(`${path}[]`, value.of);
    case 'map':
      return pathsOf(`${path}.NAME`, value.of);
    case 'either':
      return value.of.flatMap((branch) => pathsOf(path, branch));
    case 'block':
      return value.options.flatMap(({ name, value: inner }) => {
        const whole = path === '' ? name : `${path}.${name}`;
        return [whole, ...pathsOf(whole, inner)];
      });
  }
}

describe('explanations of reasons', () => {
  it('are there for every reason, and for nothing else', () => {
    const names = [...Object.values(LocalReplyReasons), ...Object.values(ModelReplyReasons)].map(
      ({ name }) => name,
    );
    assert.deepEqual(Object.keys(EXPLANATIONS).sort(), [...new Set(names)].sort());
  });

  it('say causes, where to look and what to do, in whole sentences', () => {
    for (const [name, { meaning, causes, look, remedy, options }] of entries) {
      assert.match(meaning, /\.$/, name);
      for (const part of [causes, look, remedy, options]) assert.ok(part.length > 0, name);
      for (const text of [...causes, ...look, ...remedy]) assert.match(text, /[.`]$/, `${name}: ${text}`);
    }
  });

  it('name options that there are', () => {
    const paths = pathsOf('', { kind: 'block', options: optionsOf(sidecarFile) });
    for (const [name, { options }] of entries)
      for (const option of options)
        assert.ok(
          paths.some((path) => path === option || path.endsWith(`.${option}`)),
          `${name}: ${option}`,
        );
  });

  it('name metrics and commands that there are', () => {
    const metrics = readFileSync(join(packageRoot, 'mesh-config', 'METRICS.md'), 'utf8');
    const commands = build(() => {}).commands.map((command) => command.name());
    for (const [name, entry] of entries)
      for (const text of textsOf(entry)) {
        for (const [metric] of text.matchAll(/outrider_\w+/g))
          assert.ok(metrics.includes(`\`${metric}\``), `${name}: ${metric}`);
        for (const [, command] of text.matchAll(/`outrider (\w+)/g))
          assert.ok(commands.includes(command!), `${name}: outrider ${command}`);
      }
  });
});
