/** Where our own time goes: the CPU profiles of the measured sidecars, as a table of self time by function. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Node flags under which a process leaves its profile in `dir` when it ends. */
export function profilingFlags(dir: string | undefined): string[] {
  return dir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${dir}`, '--cpu-prof-interval=500'];
}

/** Names of the profiles in `dir`, to tell new ones from old ones. */
export function profilesIn(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => name.endsWith('.cpuprofile'));
  } catch {
    return [];
  }
}

/** Self time by function, the idle time left out; the first `rows` of them. */
export function renderProfile(dir: string, name: string, rows = 25): string {
  const profile: Profile = JSON.parse(readFileSync(join(dir, name), 'utf8'));
  const labels = new Map(profile.nodes.map((node) => [node.id, labelOf(node.callFrame)]));
  const self = new Map<string, number>();
  let busy = 0;
  profile.samples.forEach((id, i) => {
    const label = labels.get(id) ?? '?';
    if (label === '(idle)') return;
    const us = profile.timeDeltas[i] ?? 0;
    busy += us;
    self.set(label, (self.get(label) ?? 0) + us);
  });
  const top = [...self].sort((a, b) => b[1] - a[1]).slice(0, rows);
  const lines = top.map(([label, us]) => `  ${((100 * us) / busy).toFixed(1).padStart(5)} %  ${label}`);
  return [`${name}: ${(busy / 1e6).toFixed(1)} s busy`, ...lines].join('\n');
}

function labelOf(frame: Profile['nodes'][number]['callFrame']): string {
  const place = frame.url.replace(/^.*\/(dist|bdist)\//, '').replace(/^node:/, 'node:');
  return place === ''
    ? frame.functionName
    : `${frame.functionName || '(anonymous)'} ${place}:${frame.lineNumber + 1}`;
}
