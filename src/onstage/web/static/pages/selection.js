// The panes of a process show one thing: what is selected in one is selected in all, and in the address.
import { refresh, tell } from "./fragments.js";

const SELECTS = "a[data-node]";

export function followSelection() {
  const details = document.getElementById("details");
  if (!details) return;
  document.addEventListener("click", (click) => {
    const link = click.target.closest(SELECTS);
    if (!link || click.metaKey || click.ctrlKey || click.shiftKey || click.button) return;
    click.preventDefault();
    const url = link.getAttribute("href");
    if (new URL(url, location.href).href !== location.href) history.pushState(null, "", url);
    choose(link);
  });
  addEventListener("popstate", () => location.reload());
  document.addEventListener("onstage:refreshed", () => mark(selected()));
}

const selected = () => new URLSearchParams(location.search).get("selected");

function choose(link) {
  mark(link.dataset.node, link);
  refresh(location.href, ["details"]).catch((error) => tell(`Not shown: ${error.message}`, "bad"));
}

function mark(node, link = null) {
  if (!node) return;
  for (const each of document.querySelectorAll(SELECTS)) {
    const is = each.dataset.node === node;
    if (is) each.setAttribute("aria-current", "true");
    else each.removeAttribute("aria-current");
    if (is && link && !link.closest(".panel").contains(each)) each.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
