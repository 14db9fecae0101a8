// Light, dark, or as the system has it: kept in this browser, taken up by early.js before the first paint.

const NEXT = { "": "light", light: "dark", dark: "" };
const WORDS = { "": "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

export function switchTheme() {
  const button = document.getElementById("theme");
  if (!button) return;
  const root = document.documentElement;
  const show = () => {
    button.setAttribute("aria-label", WORDS[root.dataset.theme ?? ""]);
    button.title = WORDS[root.dataset.theme ?? ""];
  };
  button.addEventListener("click", () => {
    const next = NEXT[root.dataset.theme ?? ""];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    localStorage.setItem("onstage.theme", next);
    show();
  });
  show();
}
