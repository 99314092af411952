import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Mesh, type Outcome, outrider, REPOSITORY, type SidecarFacts, type UpFacts } from './outrider.js';

/** The picture of a handwritten seven among the samples. */
export const SEVEN = join(REPOSITORY, 'services/digits/samples/seven.png');

/** A file of mesh-config/ as it stands, but on free ports and with paths that hold from any folder. */
export function exampleOnFreePorts(name: string): string {
  return readFileSync(join(REPOSITORY, 'mesh-config', name), 'utf8')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:0')
    .replaceAll('../services/', `${REPOSITORY}/services/`);
}

/** `outrider infer` with the seven. */
export function inferSeven(target: string, ...more: string[]): Promise<Outcome> {
  return outrider(['infer', 'digits', '--input', `@${SEVEN}`, '--target', target, ...more]);
}

/**
 * A mesh that `outrider up` runs for the tests of the describe block around it: started and ready before the first of
 * them, ended after the last, also when one has failed.
 */
export class SuiteMesh {
  mesh!: Mesh;
  facts!: UpFacts;

  /** @param file the text of the mesh file. */
  constructor(file: string) {
    before(async () => {
      this.mesh = Mesh.start(file);
      this.facts = await this.mesh.ready();
    });
    after(() => this.mesh?.discard());
  }

  get caller(): SidecarFacts {
    return this.facts.sidecars.find(({ role }) => role === 'caller')!;
  }

  get replicas(): readonly SidecarFacts[] {
    return this.facts.sidecars.filter(({ role }) => role === 'replica');
  }

  /** Where an application calls the digits. */
  get target(): string {
    return this.facts.call['digits']!;
  }

  infer(...more: string[]): Promise<Outcome> {
    return inferSeven(this.target, ...more);
  }
}
