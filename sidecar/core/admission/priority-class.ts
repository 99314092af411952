/** Classes of calls, named in one metadata key. */
export interface PrioritySettings {
  readonly key: string;
  /** From the most to the least important. */
  readonly classes: readonly string[];
  /** One of them. */
  readonly defaultClass: string;
  /** Longest wait of each class, ms; 0: until the deadline. Absent: so for all. */
  readonly maxWait?: readonly number[];
}

/** The priority class of a call, from one metadata key. Any value that is no configured class means the default class. */
export class Priorities {
  readonly key: string;
  readonly names: readonly string[];
  /** Length of the longest name: a longer value need not be decoded. */
  readonly longest: number;
  private readonly maxWaits: readonly number[];
  private readonly byName: ReadonlyMap<string, number>;
  /** Class of a call that names none: the configured one, else the least important. */
  readonly defaultClass: number;

  constructor({ key, classes, defaultClass, maxWait = [] }: PrioritySettings) {
    this.maxWaits = maxWait;
    this.key = key;
    this.names = classes;
    this.longest = classes.reduce((longest, name) => Math.max(longest, name.length), 0);
    this.byName = new Map(classes.map((name, i) => [name, i]));
    this.defaultClass = this.byName.get(defaultClass) ?? Math.max(0, classes.length - 1);
  }

  /** Longest wait of a class, ms; 0: until the deadline. */
  maxWaitMs(priorityClass: number): number {
    return this.maxWaits[priorityClass] ?? 0;
  }

  /** 0 is the most important. */
  classOf(value: string): number {
    return this.byName.get(value) ?? this.defaultClass;
  }
}
