// Whether the server answers. Every request reports here; while it is away a probe asks
// /healthz until it is back, and then everything on screen loads again.

const firstProbeMs = 1000;
const slowestProbeMs = 8000;

class Connection {
  offline = $state(false);
  /** Counts recoveries: what was loaded before the last one may be stale. */
  epoch = $state(0);
  private delay = firstProbeMs;
  private timer: ReturnType<typeof setTimeout> | undefined;

  lost() {
    if (this.offline) return;
    this.offline = true;
    this.delay = firstProbeMs;
    this.schedule();
  }

  found() {
    if (!this.offline) return;
    clearTimeout(this.timer);
    this.offline = false;
    this.epoch++;
  }

  /** Asks the server now instead of at the next turn. */
  async probe() {
    clearTimeout(this.timer);
    try {
      const answer = await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
      if (answer.ok) return this.found();
    } catch {
      // Still away.
    }
    this.offline = true;
    this.schedule();
  }

  private schedule() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.probe(), this.delay);
    this.delay = Math.min(this.delay * 1.5, slowestProbeMs);
  }
}

export const connection = new Connection();

window.addEventListener('online', () => connection.offline && connection.probe());
