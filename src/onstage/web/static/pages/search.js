// A list is filtered while one types; its address follows, so that it can be kept and sent to somebody.
import { refresh } from "./fragments.js";

const PAUSE_MS = 180;

export function filterAsTyped() {
  for (const form of document.querySelectorAll("form[data-filters]")) {
    let waiting = 0;
    const apply = () => {
      const asked = new URL(form.action, location.href);
      for (const [name, value] of new FormData(form)) if (value) asked.searchParams.set(name, value);
      history.replaceState(null, "", asked);
      refresh(asked.href, form.dataset.filters.split(" ")).catch(() => form.submit());
    };
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, PAUSE_MS);
    });
    form.addEventListener("submit", (submission) => {
      submission.preventDefault();
      clearTimeout(waiting);
      apply();
    });
  }
}
