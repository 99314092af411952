import { readFileSync } from 'node:fs';
import { readSize } from '../../config/codecs/size.js';
import type { MeshServiceConfig } from '../../config/model.js';
import { type ListedModel, listModels } from '../../health/model/model-directory.js';

/** Resident memory of a sidecar under calls (mesh-config/models.yaml says how it was measured). */
const SIDECAR_BYTES = 90 * 1024 * 1024;
const GIB = 1024 ** 3;

/** What a mesh needs of this machine's memory. */
export interface MemoryNeed {
  /** Of the model processes whose cards say it (`memory` of model.yaml). */
  readonly modelBytes: number;
  readonly modelProcesses: number;
  readonly sidecarBytes: number;
  readonly sidecars: number;
  /** Models whose cards do not say it. */
  readonly unstated: readonly string[];
}

/**
 * The memory that the replicas of these services and their sidecars need, with one sidecar more for the caller. Models of programs
 * that are not ours are not counted. With several versions of a model, the highest one counts.
 * @param memoryOf `memory` of a card, in bytes; undefined: it does not say. Default: reads the file.
 */
export function memoryNeed(
  services: readonly Pick<MeshServiceConfig, 'name' | 'replicas' | 'server'>[],
  memoryOf: (card: string) => number | undefined = memoryOfCard,
): MemoryNeed {
  let [modelBytes, modelProcesses, sidecars] = [0, 0, 1];
  const unstated = new Set<string>();
  for (const { server, replicas } of services) {
    sidecars += replicas;
    if (server.kind !== 'models') continue;
    for (const { name, card } of listed(server.dir)) {
      const bytes = memoryOf(card);
      const processes = replicas * server.instances;
      if (bytes === undefined) unstated.add(name);
      else {
        modelBytes += bytes * processes;
        modelProcesses += processes;
      }
    }
  }
  return {
    modelBytes,
    modelProcesses,
    sidecarBytes: sidecars * SIDECAR_BYTES,
    sidecars,
    unstated: [...unstated],
  };
}

/** One line about it; undefined where no card says anything. */
export function memoryLine(need: MemoryNeed, availableBytes: number): string | undefined {
  const { modelBytes, modelProcesses, sidecarBytes, sidecars, unstated } = need;
  if (modelProcesses === 0) return undefined;
  const all = modelBytes + sidecarBytes;
  const enough = all <= availableBytes ? '' : 'short of memory: ';
  const without = unstated.length === 0 ? '' : `; the cards of ${unstated.join(', ')} do not say theirs`;
  return (
    `${enough}needs ${gib(all)} once every model has worked (${modelProcesses} model processes ${gib(modelBytes)} by their cards, ` +
    `${sidecars} sidecars ${gib(sidecarBytes)}), and ${gib(availableBytes)} is available${without}`
  );
}

/** A directory that cannot be read is the sidecar's matter, as a card is the model server's. */
function listed(directory: string): ListedModel[] {
  try {
    return listModels(directory);
  } catch {
    return [];
  }
}

/** A card that cannot be read, or is wrong, is the model server's matter: it says so. */
function memoryOfCard(card: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(card, 'utf8');
  } catch {
    return undefined;
  }
  const said = /^memory:\s*["']?(\w+)["']?\s*(?:#.*)?$/m.exec(text)?.[1];
  if (said === undefined) return undefined;
  const size = readSize(said);
  return size.ok ? size.value : undefined;
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}
