/**
 * The mesh of the demonstration: the real `outrider up mesh-config/demo.yaml`, on free ports so that it never meets
 * another one. It dies with this process, whatever happens to it.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';
import type { EndpointReport, ModelReport } from '../../../sidecar/telemetry/reports.js';
import {
  admin,
  OUTRIDER,
  REPOSITORY,
  Scratch,
  type SidecarFacts,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';

const READY_LIMIT_MS = 90_000;

/** The mesh of the demo, as `outrider up` runs it. */
export class DemoMesh {
  facts!: UpFacts;
  private ended: string | undefined;
  private rest = '';

  private constructor(
    private readonly process: ChildProcessHandle,
    private readonly scratch: Scratch,
  ) {}

  /** Resolves when everything is ready. Rejects with what `up` said when it is not. */
  static async start(): Promise<DemoMesh> {
    const scratch = new Scratch();
    const file = scratch.write(
      'demo.yaml',
      onFreePorts(readFileSync(join(REPOSITORY, 'mesh-config/demo.yaml'), 'utf8')),
    );
    let mesh: DemoMesh | undefined;
    const child = new ChildProcessHandle([...OUTRIDER, 'up', file, '--json'], {
      env: { ...process.env, TMPDIR: scratch.path },
      stdout: 'pipe',
      stderr: 2,
      onExit: (how) => {
        if (mesh !== undefined) mesh.ended = how;
      },
    });
    mesh = new DemoMesh(child, scratch);
    const events = mesh;
    child.output!.setEncoding('utf8').on('data', (part: string) => events.read(part));
    await until('the mesh is ready', () => events.facts !== undefined || events.ended, READY_LIMIT_MS);
    if (mesh.facts === undefined) throw new Error(`outrider up: ${mesh.ended}`);
    return mesh;
  }

  get callAddress(): string {
    return this.facts.call['digits']!;
  }

  /** Replica `number` of the digits, from 1. */
  replica(number: number): SidecarFacts {
    return this.facts.sidecars.find((sidecar) => sidecar.name === `digits-${number}`)!;
  }

  /** The model of a replica as its sidecar reports it. */
  async model(replica: SidecarFacts): Promise<ModelReport> {
    return JSON.parse((await admin(replica.admin, '/endpoints')).body).model;
  }

  /** What the caller's sidecar thinks of a replica. */
  async endpoint(replica: SidecarFacts): Promise<EndpointReport> {
    const { endpoints } = JSON.parse((await admin(this.facts.admin, '/endpoints')).body);
    return endpoints.find((row: EndpointReport) => row.endpoint === replica.name);
  }

  /** Sum of one of the caller's counters, over the samples of the digits whose labels contain `only`. */
  async counter(name: string, only = ''): Promise<number> {
    const { body } = await admin(this.facts.admin, '/metrics');
    let sum = 0;
    for (const line of body.split('\n')) {
      if (!line.startsWith(`${name}{`) || !line.includes('"digits"') || !line.includes(only)) continue;
      sum += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
    return sum;
  }

  /** SIGTERM, as Ctrl-C does; SIGKILL when that takes too long. */
  async stop(): Promise<void> {
    this.process.signal('SIGTERM');
    await until('the mesh has ended', () => this.ended, 20_000).catch(() => this.process.signal('SIGKILL'));
    this.scratch.remove();
  }

  private read(part: string): void {
    const lines = (this.rest + part).split('\n');
    this.rest = lines.pop()!;
    for (const line of lines) {
      const event = JSON.parse(line);
      if (event.event === 'up') this.facts = event;
    }
  }
}

/** The same mesh: only ports are left to `up`, and paths lead from the scratch directory to the clone. */
function onFreePorts(text: string): string {
  return text
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:0')
    .replace(/models: \.\.\//g, `models: ${REPOSITORY}/`);
}
