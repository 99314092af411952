/** The types in code of what schemas describe: how names in code follow from names in files. names-codec.ts does the same with values. */
import type * as z from 'zod';

declare const unit: unique symbol;
declare const code: unique symbol;

/** Milliseconds and bytes. */
export type Unit = 'Ms' | 'Bytes';

/** Marks the schema of a value in a unit. */
export interface WithUnit<U extends Unit> {
  readonly [unit]?: () => U;
}

/** Marks a schema in whose place code reads an `R`. */
export interface Coded<R> {
  readonly [code]?: () => R;
}

interface Wrapper<Inner> {
  readonly _zod: { readonly def: { readonly type: 'optional' | 'prefault'; readonly innerType: Inner } };
}
interface BlockSchema<Shape> {
  readonly _zod: { readonly def: { readonly type: 'object'; readonly shape: Shape } };
}
interface ListSchema<Element> {
  readonly _zod: { readonly def: { readonly type: 'array'; readonly element: Element } };
}
interface MapSchema<Value> {
  readonly _zod: { readonly def: { readonly type: 'record'; readonly valueType: Value } };
}
interface EitherSchema<Options extends readonly unknown[]> {
  readonly _zod: { readonly def: { readonly type: 'union'; readonly options: Options } };
}
interface OptionalSchema {
  readonly _zod: { readonly def: { readonly type: 'optional' } };
}

/** What code reads of an option. Absent stays absent; all of it is read-only. */
export type CodeOf<S> = typeof code extends keyof S
  ? S extends { readonly [code]?: () => infer R }
    ? R
    : never
  : PlainOf<S>;

/** The same before `inCode` is applied to the option itself. */
export type PlainOf<S> =
  S extends Wrapper<infer Inner>
    ? CodeOf<Inner> | (S extends OptionalSchema ? undefined : never)
    : S extends BlockSchema<infer Shape>
      ? BlockOf<Shape>
      : S extends ListSchema<infer Element>
        ? readonly CodeOf<Element>[]
        : S extends MapSchema<infer Value>
          ? MapOf<Value>
          : S extends EitherSchema<infer Options>
            ? CodeOf<Options[number]>
            : z.output<S>;

/** A map of blocks by name is a list of them. */
type MapOf<Value> =
  Value extends BlockSchema<unknown>
    ? readonly (typeof code extends keyof Value ? CodeOf<Value> : { readonly name: string } & CodeOf<Value>)[]
    : Readonly<Record<string, CodeOf<Value>>>;

type BlockOf<Shape> = Flat<
  {
    readonly [K in keyof Shape & string as undefined extends CodeOf<Shape[K]>
      ? never
      : NameOf<K, Shape[K]>]: CodeOf<Shape[K]>;
  } & {
    readonly [K in keyof Shape & string as undefined extends CodeOf<Shape[K]>
      ? NameOf<K, Shape[K]>
      : never]?: Exclude<CodeOf<Shape[K]>, undefined>;
  }
>;

type Flat<T> = { [K in keyof T]: T[K] };

/** `drain_timeout` of a duration: `drainTimeoutMs`. */
type NameOf<K extends string, S> =
  UnitOf<S> extends infer U extends Unit
    ? `_${K}_` extends `${string}_${Lowercase<U>}_${string}`
      ? Camel<K>
      : `${Camel<K>}${U}`
    : Camel<K>;

type UnitOf<S> = typeof unit extends keyof S
  ? S extends { readonly [unit]?: () => infer U }
    ? U
    : never
  : S extends Wrapper<infer Inner>
    ? UnitOf<Inner>
    : 'none';

type Camel<K extends string> = K extends `${infer Word}_${infer Rest}`
  ? `${Word}${Capitalize<Camel<Rest>>}`
  : K;
