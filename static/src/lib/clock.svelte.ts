// One timer for all relative times on the page.
class Clock {
  now = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now();
    }, 5000);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.now = Date.now();
    });
  }

  /** Brings now up to date, so that what just happened isn't in the future. */
  touch() {
    this.now = Date.now();
  }
}

export const wallClock = new Clock();
