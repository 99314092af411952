import { randomBytes } from 'node:crypto';
import { OWNER_PROCESS_VARIABLE, OWNER_VARIABLE } from '../runtime/process/owned-processes.js';
import { Guardian } from '../supervise/guardian/guardian.js';

const NONCE_BYTES = 12;

/** The guardian of what this process starts. */
export function ownGuardian(name: string, onProblem: (problem: string) => void): Guardian {
  return new Guardian({ name, nonce: randomBytes(NONCE_BYTES).toString('hex'), onProblem });
}

/**
 * Takes the mark of the process that started this one out of the environment that others get from here: a successor and what
 * `cold_start` wakes are to outlive it.
 */
export function forgetOwner(env: NodeJS.ProcessEnv): void {
  delete env[OWNER_VARIABLE];
  delete env[OWNER_PROCESS_VARIABLE];
}
