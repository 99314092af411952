/** Classes of calls, named in one metadata key. */
export interface PrioritySettings {
  readonly key: string;
  /** From the most to the least important. */
  readonly classes: readonly string[];
  /** One of them. */
  readonly defaultClass: string;
  /** Longest wait of each class, ms; 0: until the deadline. Absent: so for all. */
  readonly maxWait?: readonly number[] | undefined;
  /** Classes of calls that name none, by the model that they name. Absent: the default, whatever the model. */
  readonly models?: readonly ModelClass[] | undefined;
  /** Classes that only some callers may name. Absent: none. */
  readonly callers?: readonly ClassCallers[] | undefined;
}

/** The callers that may name a class. */
export interface ClassCallers {
  readonly class: string;
  readonly callers: readonly string[];
}

/** The class that calls for a model have where they name none themselves. */
export interface ModelClass {
  readonly model: string;
  /** One of the classes. */
  readonly class: string;
}

/** The priority class of a call, from one metadata key. Any value that is no configured class means the default class, or that of its model. */
export class Priorities {
  readonly key: string;
  readonly names: readonly string[];
  /** Length of the longest name: a longer value need not be decoded. */
  readonly longest: number;
  private readonly maxWaits: readonly number[];
  private readonly byName: ReadonlyMap<string, number>;
  private readonly byModel: ReadonlyMap<string, number>;
  /** By class, those that may name it; undefined: everybody. */
  private readonly allowed: readonly (ReadonlySet<string> | undefined)[];
  /** Class of a call that names none: the configured one, else the least important. */
  readonly defaultClass: number;

  constructor({ key, classes, defaultClass, maxWait = [], models = [], callers = [] }: PrioritySettings) {
    this.maxWaits = maxWait;
    this.key = key;
    this.names = classes;
    this.longest = classes.reduce((longest, name) => Math.max(longest, name.length), 0);
    this.byName = new Map(classes.map((name, i) => [name, i]));
    this.defaultClass = this.byName.get(defaultClass) ?? Math.max(0, classes.length - 1);
    const bound = new Map(callers.map((each) => [each.class, new Set(each.callers)]));
    this.allowed = classes.map((each) => bound.get(each));
    this.byModel = new Map(
      models.map((each) => [each.model, this.byName.get(each.class) ?? this.defaultClass]),
    );
  }

  /** @param caller service of the caller; empty: it has no identity. */
  mayName(priorityClass: number, caller: string): boolean {
    return this.allowed[priorityClass]?.has(caller) !== false;
  }

  /** Longest wait of a class, ms; 0: until the deadline. */
  maxWaitMs(priorityClass: number): number {
    return this.maxWaits[priorityClass] ?? 0;
  }

  /** 0 is the most important. @param model that the call names; empty: none. @param caller its service; empty: no identity. */
  classOf(value: string, model = '', caller = ''): number {
    const named = this.byName.get(value);
    return named !== undefined && this.mayName(named, caller) ? named : this.defaultFor(model);
  }

  /** The class of a call that names none. @param model that it names; empty: none. */
  defaultFor(model: string): number {
    return this.byModel.get(model) ?? this.defaultClass;
  }
}
