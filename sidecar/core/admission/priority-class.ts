/**
 * The class of a call, from what it says of itself in one metadata key. Whatever else stands there, absurd, huge or
 * binary, makes it one of the `otherwise` class: a caller can choose among the configured classes and no further.
 */

export interface PrioritySettings {
  readonly key: string;
  /** From the most to the least important. */
  readonly classes: readonly string[];
  /** One of them. */
  readonly defaultClass: string;
}

export class Priorities {
  readonly key: string;
  readonly names: readonly string[];
  /** A longer value is none of them; nobody need read it. */
  readonly longest: number;
  private readonly byName: ReadonlyMap<string, number>;
  /** Class of a call that names none: the least important one, should the configured one not exist. */
  readonly otherwise: number;

  constructor({ key, classes, defaultClass }: PrioritySettings) {
    this.key = key;
    this.names = classes;
    this.longest = classes.reduce((longest, name) => Math.max(longest, name.length), 0);
    this.byName = new Map(classes.map((name, i) => [name, i]));
    this.otherwise = this.byName.get(defaultClass) ?? Math.max(0, classes.length - 1);
  }

  /** 0 is the most important. */
  classOf(value: string): number {
    return this.byName.get(value) ?? this.otherwise;
  }
}
