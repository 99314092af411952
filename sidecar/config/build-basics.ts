/**
 * What building any part of a configuration needs: paths made absolute, and absence kept.
 */
import { isAbsolute, join } from 'node:path';
import type { Address } from './model.js';

/** Relative paths in a file are relative to the directory it lies in. */
export function pathFrom(baseDir: string, path: string): string {
  return isAbsolute(path) ? path : join(baseDir, path);
}

export function addressFrom(baseDir: string, address: Address): Address {
  return address.kind === 'tcp' ? address : { kind: 'unix', path: pathFrom(baseDir, address.path) };
}

/** Leaves absent options absent: `exactOptionalPropertyTypes` tells absent from undefined. */
export function present<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}
