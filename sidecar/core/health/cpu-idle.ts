/**
 * For how long has a process used no CPU? A process that stands still may use a trace of it (threads that answer pings), so
 * "none" is below 3 % of a core. Where nothing is known, it is neither idle nor busy.
 */

/** Shorter spans are not judged: the kernel counts in ticks of 10 ms. */
const SPAN_MS = 1_000;
const TRACE_RATIO = 0.03;

export class CpuIdle {
  private fromMs = -1;
  private fromCpuMs = 0;
  private idleSinceMs = -1;
  private usedMs = -1;

  /** @param cpuMs used so far; −1: not known. */
  sample(cpuMs: number, nowMs: number): void {
    if (cpuMs < 0) return this.forget();
    if (this.fromMs < 0 || cpuMs < this.fromCpuMs) return this.begin(cpuMs, nowMs);
    const spanMs = nowMs - this.fromMs;
    const used = cpuMs - this.fromCpuMs;
    if (used > Math.max(SPAN_MS, spanMs) * TRACE_RATIO) {
      this.usedMs = nowMs;
      return this.begin(cpuMs, nowMs);
    }
    if (spanMs < SPAN_MS) return;
    this.fromMs = nowMs;
    this.fromCpuMs = cpuMs;
  }

  /** 0: it uses some, or that is not known. */
  idleForMs(nowMs: number): number {
    return this.idleSinceMs < 0 ? 0 : nowMs - this.idleSinceMs;
  }

  /** Whether it was seen to use some within the last `withinMs`. */
  hasUsed(withinMs: number, nowMs: number): boolean {
    return this.usedMs >= 0 && nowMs - this.usedMs <= withinMs;
  }

  /** No look until now counts. */
  forget(): void {
    this.fromMs = -1;
    this.idleSinceMs = -1;
    this.usedMs = -1;
  }

  private begin(cpuMs: number, nowMs: number): void {
    this.fromMs = nowMs;
    this.fromCpuMs = cpuMs;
    this.idleSinceMs = nowMs;
  }
}
