/** Reads the fields of a request body. What is wrong is a 400 that names the field. `null` counts as absent. */
import { badRequest } from './errors.js';

export interface Range {
  readonly min: number;
  readonly max: number;
}

export class Fields {
  constructor(private readonly body: Readonly<Record<string, unknown>>) {}

  static of(body: unknown): Fields {
    if (!isObject(body)) throw badRequest('The request body must be a JSON object.');
    return new Fields(body);
  }

  /** `undefined` if the field is absent or null. */
  value(name: string): unknown {
    return Object.hasOwn(this.body, name) ? (this.body[name] ?? undefined) : undefined;
  }

  text(name: string): string | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === 'string') return value;
    throw badRequest(`'${name}' must be a string.`, name);
  }

  flag(name: string): boolean {
    const value = this.value(name);
    if (value === undefined || typeof value === 'boolean') return value ?? false;
    throw badRequest(`'${name}' must be true or false.`, name);
  }

  number(name: string, { min, max }: Range): number | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value >= min && value <= max) return value;
    throw badRequest(`'${name}' must be a number from ${min} to ${max}.`, name);
  }

  integer(name: string, range: Range): number | undefined {
    const value = this.number(name, range);
    if (value === undefined || Number.isInteger(value)) return value;
    throw badRequest(`'${name}' must be a whole number.`, name);
  }

  object(name: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.value(name);
    if (value === undefined || isObject(value)) return value;
    throw badRequest(`'${name}' must be an object.`, name);
  }

  /** Refuses a field that asks for what is not there. `harmless`: the values that ask for nothing. */
  refuse(name: string, missing: string, harmless: (value: unknown) => boolean = () => false): void {
    const value = this.value(name);
    if (value === undefined || harmless(value)) return;
    throw badRequest(`'${name}' is not supported: ${missing}.`, name, 'unsupported_parameter');
  }
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isIds = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((id) => Number.isInteger(id) && id >= 0 && id <= 0xffff_ffff);
