import { dirname, resolve, sep } from 'node:path';
import { CommandFailure } from '../failure.js';
import { type RunNote, runningMeshes } from './run-directory.js';

/** The meshes that a command is about. */
export interface Chosen {
  readonly meshes: readonly RunNote[];
  /** One line for people where the choice may surprise them. */
  readonly note?: string;
}

/** What a command was told, and where. */
export interface Choice {
  /** Of `--mesh`. */
  readonly file?: string | undefined;
  readonly cwd: string;
}

/**
 * Of the meshes that run here, those of `file`. Without one, those of this folder: started in it, or of a mesh file in it; else those of a
 * folder above or below. Where none is, the only one that runs, with a note.
 *
 * @throws CommandFailure where no mesh of the file runs, or several run elsewhere.
 */
export function chooseMeshes(running: readonly RunNote[], { file, cwd }: Choice): Chosen {
  if (file !== undefined) {
    const wanted = resolve(cwd, file);
    const meshes = running.filter(({ meshFile }) => meshFile === wanted);
    if (meshes.length > 0 || running.length === 0) return { meshes };
    throw new CommandFailure(`no mesh of ${wanted} runs here; running: ${listOf(running)}`);
  }
  const here = running.filter((note) => foldersOf(note).includes(cwd));
  if (here.length > 0) return { meshes: here };
  const near = running.filter((note) => foldersOf(note).some((folder) => isNear(folder, cwd)));
  if (near.length > 0) return { meshes: near };
  const [only, ...others] = running;
  if (others.length > 0)
    throw new CommandFailure(
      `no mesh of this folder runs; running elsewhere: ${listOf(running)}; name one with --mesh FILE`,
      2,
    );
  if (only === undefined) return { meshes: [] };
  return { meshes: [only], note: `no mesh of this folder runs; this is ${only.meshFile}` };
}

/** What standard error has been told; a page chooses again and again. */
const said = new Set<string>();

/** `chooseMeshes` of those that this user runs on this machine; a note goes to standard error, once. */
export function meshesHere(file?: string): readonly RunNote[] {
  const { meshes, note } = chooseMeshes(runningMeshes(), { file, cwd: process.cwd() });
  if (note !== undefined && !said.has(note)) process.stderr.write(`outrider: ${note}\n`);
  if (note !== undefined) said.add(note);
  return meshes;
}

function foldersOf({ meshFile, cwd }: RunNote): string[] {
  return [dirname(meshFile), ...(cwd === undefined ? [] : [cwd])];
}

function isNear(one: string, other: string): boolean {
  const isBelow = (below: string, above: string) => below.startsWith(above === sep ? sep : above + sep);
  return isBelow(one, other) || isBelow(other, one);
}

function listOf(running: readonly RunNote[]): string {
  return running.map(({ meshFile, pid }) => `${meshFile} (process ${pid})`).join(', ');
}
