/** Shortest span that is evaluated, ms: the kernel counts in ticks of 10 ms. */
const SPAN_MS = 1_000;
/** Share of a core below which a process counts as idle: threads that answer pings use a little. */
const TRACE_RATIO = 0.03;

/** For how long a process has used no CPU. Where its CPU time is unknown, it is neither idle nor busy. */
export class CpuIdle {
  private fromMs = -1;
  private fromCpuMs = 0;
  private idleSinceMs = -1;
  private usedMs = -1;

  /** Records a sample. @param cpuMs CPU time used so far; −1: not known. */
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

  /** Time without CPU use, ms; 0: it uses some, or that is not known. */
  idleForMs(nowMs: number): number {
    return this.idleSinceMs < 0 ? 0 : nowMs - this.idleSinceMs;
  }

  /** Whether it used CPU within the last `withinMs`. */
  hasUsed(withinMs: number, nowMs: number): boolean {
    return this.usedMs >= 0 && nowMs - this.usedMs <= withinMs;
  }

  /** Drops the samples so far. */
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
