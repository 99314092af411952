/**
 * Reading values that may be wrong: each reader gives the value when it has the right type, else nothing.
 *
 * Rules between options use these, because they run on files whose single options are already known to be wrong.
 */
import type { Address } from '../model.js';

export type Loose = Readonly<Record<string, unknown>>;

export function mapping(value: unknown): Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {};
}

export function entries(value: unknown): [string, Loose][] {
  return Object.entries(mapping(value)).map(([key, inner]) => [key, mapping(inner)]);
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function texts(value: unknown): string[] {
  return list(value).filter((item) => typeof item === 'string');
}

export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function address(value: unknown): Address | undefined {
  const { kind } = mapping(value);
  return kind === 'tcp' || kind === 'unix' ? (value as Address) : undefined;
}
