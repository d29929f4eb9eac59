// Runs before the first paint, so that a chosen theme doesn't flash in the other one.
try {
  var theme = localStorage.getItem('picloud.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch (e) {
  // Storage is switched off: the system's preference holds.
}
