// Runs before the first paint. No module, so that it is not late.
(() => {
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search).get("theme");
  const kept = asked ?? localStorage.getItem("onstage.theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  // What is pressed before the modules are there waits for them: sent as a plain form it would be refused.
  const pressed = new Map();
  document.addEventListener("submit", (submission) => {
    if ("ready" in root.dataset || !submission.target.matches("[data-act], [data-emit]")) return;
    submission.preventDefault();
    pressed.set(submission.target, submission.submitter);
  });
  document.addEventListener("onstage:ready", () => {
    for (const [form, button] of pressed) form.requestSubmit(button);
    pressed.clear();
  });
})();
