/** The mesh of a soak: three replicas with three kinds of models, and a caller with everything on that watches or acts. */

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DIGITS_MODELS, REPOSITORY } from '../../kit/process/outrider.js';
import { putIdentityModel } from '../../kit/service/tiny-models.js';
import { WATCHED_UPSTREAM } from '../faults/watched-upstream.js';

/** Where the sidecars learn of each other. */
export const PLACES = ['file', 'consul'] as const;
export type Place = (typeof PLACES)[number];

export const SERVICE = 'mixed';
/** Gives back the bytes of its request. */
export const ECHO = 'echo';
export const REPLICAS = 3;

/** Puts the models of the mesh into `directory`. */
export function putModels(directory: string): void {
  putPackageModels(directory);
  putIdentityModel(directory, ECHO, 'UINT8', [1, 2, 3]);
}

/** The digits and the tokens that come with the package. */
export function putPackageModels(directory: string): void {
  cpSync(DIGITS_MODELS, directory, { recursive: true });
  cpSync(join(REPOSITORY, 'services/tokens/models'), directory, { recursive: true });
  // Its code lies at a place relative to the directory.
  const card = join(directory, 'tokens/1/model.yaml');
  writeFileSync(card, readFileSync(card, 'utf8').replace(/^code: [./]*/m, `code: ${REPOSITORY}/`));
}

/**
 * The text of the mesh file.
 *
 * @param files directory of the access log and the audit logs
 * @param reload how often it has been changed: another value is another valid file, which takes effect without a restart
 */
export function meshFile(place: Place, models: string, files: string, reload: number): string {
  return `
services:
  ${SERVICE}:
    models: ${models}
    isolation: shared
    replicas: ${REPLICAS}
    queue: { concurrency: 16, max_waiting: ${512 + (reload % 2)}, fair: true }
    rate_limits: [{ callers: ["*"], per_second: 5000 }]
    load_report: { trailers: true }
caller:
  name: app
  admin: 127.0.0.1:0
  upstreams:
    ${SERVICE}:
      listen: 127.0.0.1:0
${WATCHED_UPSTREAM}
      routes:
        - methods: [/inference.GRPCInferenceService/ModelInfer]
          idempotent: true
          timeout: ${60 + (reload % 2)}s
          attempt_timeout: 10s
          retry: { attempts: 4, on: [unavailable, deadline_exceeded] }
          hedge: { percentile: 0.99 }
          # A replica may die within an answer of 4 MB: what the caller has begun to read cannot be asked again.
          hold: 5MiB
          replay: 5MiB
        - methods: [/inference.GRPCInferenceService/ModelStreamInfer]
          kind: streaming
          timeout: 10m
          first_message_timeout: 10s
          message_timeout: 5s
          idempotent: true
          resumable: true
          retry: { attempts: 4, on: [unavailable, deadline_exceeded] }
intentions: [{ from: app, to: ${SERVICE}, action: allow }]
fault_injection: processes
observe: 127.0.0.1:0
access_log: { path: ${join(files, 'access.jsonl')} }
audit: { directory: ${files} }
${place === 'consul' ? 'consul: {}\n' : ''}`;
}
