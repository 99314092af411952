/** The versions of the sidecar that simulated processes run: this one, or one of another build. */
// A sidecar loads these when it first needs them. In a run they could not be read any more: files are sealed.
import '../../../sidecar/app/metrics-export/open-exporter.js';
import '../../../sidecar/app/traces/tracing.js';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startSidecar } from '../../../sidecar/app/sidecar.js';
import { parseSidecarFile } from '../../../sidecar/config/file/parse.js';
import type { SidecarConfig } from '../../../sidecar/config/model.js';
import { InboundQueue } from '../../../sidecar/core/admission/queue.js';
import { forgetFields } from '../../../sidecar/http2/hpack/forget.js';
import { Caller } from '../../../sidecar/inbound/caller.js';
import { ListenSockets } from '../../../sidecar/runtime/process/listen-sockets.js';

/** What a simulation takes from a version. Those of another build have the same form, or the run says what is missing. */
export interface Release {
  /** For people. */
  readonly name: string;
  readonly startSidecar: typeof startSidecar;
  readonly parseSidecarFile: typeof parseSidecarFile;
  readonly ListenSockets: typeof ListenSockets;
  readonly InboundQueue: typeof InboundQueue;
  readonly Caller: typeof Caller;
  /** Undefined where the version has no way to forget: then the sizes of headers go by the runs before, too. */
  readonly forgetFields: typeof forgetFields | undefined;
}

export const PRESENT: Release = {
  name: 'this version',
  startSidecar,
  parseSidecarFile,
  ListenSockets,
  InboundQueue,
  Caller,
  forgetFields,
};

/** What a sidecar loads only when it needs it. An older build may not have it. */
const LOADED_LATE = ['app/metrics-export/open-exporter', 'app/traces/tracing'];

/** @param root folder of a checkout that has been built. @throws Error where it has no build, or none with these parts. */
export async function releaseIn(root: string): Promise<Release> {
  const fileOf = (path: string): string => join(root, 'dist/sidecar', `${path}.js`);
  const load = (path: string) => import(pathToFileURL(fileOf(path)).href) as Promise<object>;
  const parts = await Promise.all(
    [
      'app/sidecar',
      'config/file/parse',
      'core/admission/queue',
      'inbound/caller',
      'runtime/process/listen-sockets',
    ].map(load),
  );
  await Promise.all(LOADED_LATE.filter((path) => existsSync(fileOf(path))).map(load));
  const forgets = 'http2/hpack/forget';
  const optional = existsSync(fileOf(forgets)) ? await load(forgets) : { forgetFields: undefined };
  const release = { ...Object.assign({}, ...parts), ...optional, name: 'the version before' } as Release;
  for (const name of Object.keys(PRESENT) as (keyof Release)[])
    if (!(name in release)) throw new Error(`${root}: its build has no ${name}`);
  return release;
}

/** @throws Error with what is wrong with the file. */
export function configOf(file: object, release: Release): SidecarConfig {
  const parsed = release.parseSidecarFile(JSON.stringify(file), '/sim/sidecar.yaml');
  if (!parsed.ok) throw new Error(parsed.problems.map((each) => JSON.stringify(each)).join('; '));
  return parsed.config;
}

/** Whether the version knows all that these files say. */
export function knows(release: Release, files: readonly object[]): boolean {
  return files.every((file) => release.parseSidecarFile(JSON.stringify(file), '/sim/sidecar.yaml').ok);
}
