/** A process of the simulated world: its clock, timers, turns and sockets. It can be killed, frozen and thawed. */
import type { Socket } from 'node:net';
import type { Clock } from '../../../sidecar/runtime/time/clock.js';
import type { Timer, Timers } from '../../../sidecar/runtime/time/timers.js';
import type { Network } from '../../../sidecar/transport/network.js';
import type { ManualClock } from '../../kit/time/manual-clock.js';
import type { Dice } from '../dice.js';
import { SocketStream } from './consul/duplex.js';
import { keyOf, type SimNet, SimServer, type SimSocket, type SocketOwner } from './sim-net.js';

export class SimProcess implements Clock, Timers, SocketOwner {
  readonly sockets = new Set<SimSocket>();
  readonly servers = new Set<SimServer>();
  isDead = false;
  isFrozen = false;
  /** Of the wall clock of its machine, ms; a fault. */
  clockOffsetMs = 0;
  /** Timers armed now. */
  armed = 0;
  private deferred: (() => void)[] = [];
  private overdue: (() => void)[] = [];
  readonly random: () => number;

  constructor(
    readonly name: string,
    /** The machine that it runs on. */
    readonly host: string,
    private readonly world: {
      readonly clock: ManualClock;
      readonly net: SimNet;
      /** Processes with something to do at the end of the turn. */
      readonly dirty: SimProcess[];
      /** An exception that nothing in the process caught. */
      onCrash(process: SimProcess, error: unknown): void;
    },
    dice: Dice,
  ) {
    this.random = dice.of('random').next;
  }

  now(): number {
    return this.world.clock.now();
  }

  wallNow(): number {
    return this.world.clock.wallNow() + this.clockOffsetMs;
  }

  after(delayMs: number, fn: () => void): Timer {
    this.armed++;
    let isArmed = true;
    const settle = (): void => {
      if (isArmed) this.armed--;
      isArmed = false;
    };
    const timer = this.world.clock.after(delayMs, () => {
      settle();
      this.run(fn);
    });
    return {
      cancel: () => {
        settle();
        timer.cancel();
      },
    };
  }

  every(periodMs: number, fn: () => void): Timer {
    this.armed++;
    let isArmed = true;
    let isOverdue = false;
    const timer = this.world.clock.every(periodMs, () => {
      // However long a process stands still, a timer that repeats fires once for it.
      if (!this.isFrozen) return this.run(fn);
      if (!isOverdue)
        this.whenThawed(() => {
          isOverdue = false;
          if (isArmed) fn();
        });
      isOverdue = true;
    });
    return {
      cancel: () => {
        if (isArmed) this.armed--;
        isArmed = false;
        timer.cancel();
      },
    };
  }

  /** Runs `fn` at the end of this turn. */
  readonly defer = (fn: () => void): void => {
    if (this.deferred.push(fn) === 1) this.world.dirty.push(this);
  };

  /** Runs `fn` as this process would: not at all when it is dead, later when it is frozen. An exception ends the process. */
  run(fn: () => void): void {
    if (this.isDead) return;
    if (this.isFrozen) return void this.overdue.push(fn);
    try {
      fn();
    } catch (error) {
      this.world.onCrash(this, error);
      this.kill();
    }
  }

  whenThawed(fn: () => void): void {
    this.overdue.push(fn);
  }

  /** What was deferred in this turn. */
  endTurn(): void {
    if (this.isFrozen) return this.whenThawed(() => this.endTurn());
    const due = this.deferred;
    this.deferred = [];
    for (const fn of due) this.run(fn);
  }

  /** SIGKILL. */
  kill(): void {
    if (this.isDead) return;
    this.isDead = true;
    for (const server of [...this.servers]) server.vanish();
    for (const socket of [...this.sockets]) socket.vanish();
    this.deferred = [];
    this.overdue = [];
  }

  /** SIGSTOP: the kernel holds what comes. */
  freeze(): void {
    this.isFrozen = true;
  }

  /** SIGCONT. */
  thaw(): void {
    if (!this.isFrozen) return;
    this.isFrozen = false;
    const { overdue } = this;
    this.overdue = [];
    for (const fn of overdue) this.run(fn);
    for (const socket of this.sockets) {
      this.world.net.touch(socket);
      if (socket.other !== null) this.world.net.touch(socket.other);
    }
  }

  /** Sockets of this process. `identity`: what connections of the mesh prove. */
  get network(): Network {
    const { net } = this.world;
    return {
      dial: (address) => {
        const socket = net.dial(address, this, null, Number.POSITIVE_INFINITY);
        const isStream = net.streams.has(keyOf(address));
        return (isStream ? new SocketStream(socket) : socket) as unknown as Socket;
      },
      server: (_options, onSocket) =>
        new SimServer(net, this, onSocket) as unknown as ReturnType<Network['server']>,
    };
  }
}
