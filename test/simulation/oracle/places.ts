/** How many calls the queue before a model lets run at once, by its file and by what its engine says. */
import type { Plan, ReplicaPlan } from '../plan/plan.js';

export interface QueueFile {
  readonly inbound: {
    readonly queue: {
      readonly concurrency: number | 'auto';
      readonly fair?: boolean;
      readonly cost?: string;
      readonly priority?: {
        readonly key: string;
        readonly classes: readonly string[];
        readonly callers?: readonly { readonly class: string; readonly callers: readonly string[] }[];
      };
    };
  };
}

/** Where an engine does not say it, or has not yet (`UNKNOWN_SLOTS` of inbound/admission.ts). */
const UNKNOWN_PLACES = 16;

/** The files of shrunk cases may say nothing of it. */
export function hasQueue(file: object): file is QueueFile {
  return (file as Partial<QueueFile>).inbound?.queue?.concurrency !== undefined;
}

/** Once the engine has been asked. */
export function placesIn(file: object, { parallel, slots = 'known' }: ReplicaPlan): number {
  if (!hasQueue(file)) return 0;
  const { concurrency } = file.inbound.queue;
  if (concurrency !== 'auto') return concurrency;
  return slots === 'known' ? parallel : UNKNOWN_PLACES;
}

/** By each file that this replica has in the run, and by what may be known of its engine. */
export function allPlaces({ replicas, faults }: Plan, replica: string): number[] {
  const own = replicas.find(({ name }) => name === replica)!;
  const reloads = faults.filter(({ target, file }) => target === replica && file !== undefined);
  return [own.file, ...reloads.map(({ file }) => file!)].flatMap((file) => {
    if (!hasQueue(file)) return [];
    const places = placesIn(file, own);
    return file.inbound.queue.concurrency === 'auto' ? [places, UNKNOWN_PLACES] : [places];
  });
}
