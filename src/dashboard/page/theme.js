// Runs before the first paint, so that a chosen theme never flashes the other one. Everything else is a module.
(() => {
  const chosen = new URLSearchParams(location.hash.slice(1)).get('theme');
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
})();
