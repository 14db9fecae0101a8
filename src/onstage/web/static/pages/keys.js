// The keyboard: `/` searches, `j` and `k` walk, Enter opens, `g` and a letter goes somewhere, `?` tells all this.

const SECOND_KEY_MS = 1200;

const isTyping = (target) => target.closest("input, select, textarea, dialog, [contenteditable]");

export function followKeys() {
  let afterG = 0;
  document.addEventListener("keydown", (press) => {
    if (press.metaKey || press.ctrlKey || press.altKey) return;
    if (press.key === "Escape" && press.target.matches("input[type=search]")) return press.target.blur();
    if (isTyping(press.target)) return;
    const goes = performance.now() - afterG < SECOND_KEY_MS;
    afterG = press.key === "g" && !goes ? performance.now() : 0;
    if (goes && go(press.key)) return press.preventDefault();
    if (PRESSED[press.key]?.()) press.preventDefault();
  });
  document.getElementById("help")?.addEventListener("click", help);
  for (const close of document.querySelectorAll("[data-close]"))
    close.addEventListener("click", () => close.closest("dialog").close());
}

const PRESSED = {
  "/": () => focus(document.getElementById("search")),
  "?": help,
  j: () => walk(1),
  k: () => walk(-1),
  o: () => open(),
  Enter: () => document.activeElement === document.body && open(),
  p: () => document.getElementById("live")?.click() ?? true,
  f: () => document.querySelector("[data-failures]")?.click() ?? true,
};

function go(key) {
  const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
  link?.click();
  return link;
}

function focus(field) {
  field?.focus();
  field?.select();
  return field;
}

function help() {
  document.getElementById("keys")?.showModal();
  return true;
}

/** What `j` and `k` walk over: the rows of the first list that has any. */
const stops = () => [...document.querySelectorAll("[data-at]")].filter((stop) => stop.checkVisibility());

function walk(by) {
  const all = stops();
  if (!all.length) return false;
  const present = all.findIndex((stop) => stop.hasAttribute("data-here") || stop.contains(document.activeElement));
  const next = all[Math.min(Math.max(present + by, 0), all.length - 1)];
  for (const stop of all) stop.toggleAttribute("data-here", stop === next);
  const link = next.matches("a") ? next : next.querySelector("a");
  link?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  return true;
}

function open() {
  const stop = document.querySelector("[data-here]");
  const link = stop?.matches("a") ? stop : stop?.querySelector("a");
  link?.click();
  return link;
}
