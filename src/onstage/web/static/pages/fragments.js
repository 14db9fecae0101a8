// Fetching a page and morphing parts of it into the present one: what is the same stays, focus and scrolling included.

/** Elements of the present page that follow the state of the store. */
export const LIVE = "[data-live]";

let turn = 0;

/**
 * Fetch `url` and replace the elements with these ids by their newer selves. A later call makes an earlier one void.
 * @param {string} url
 * @param {string[]} ids
 * @returns {Promise<boolean>} whether it was replaced
 */
export async function refresh(url, ids) {
  const mine = ++turn;
  const asked = new URL(url, location.href);
  const answer = await fetch(asked, { headers: { Accept: "text/html", "X-Onstage-Parts": ids.join(",") } });
  if (!answer.ok) throw new Error(`${asked.pathname}: ${answer.status}`);
  const text = await answer.text();
  if (mine !== turn) return false;
  const newer = new DOMParser().parseFromString(text, "text/html");
  for (const id of ids) await morph(document.getElementById(id), newer.getElementById(id));
  document.dispatchEvent(new CustomEvent("onstage:refreshed", { detail: ids }));
  return true;
}

async function morph(present, next) {
  if (!present || !next || present.outerHTML === next.outerHTML) return;
  await window.htmx.swap({ text: next.outerHTML, target: present, sourceElement: present, swap: "outerMorph" });
}

/** Ids of what is live on this page and can be seen. */
export function liveIds() {
  return [...document.querySelectorAll(LIVE)].filter((part) => part.checkVisibility()).map((part) => part.id);
}

/** Say something in the corner, for a screen reader too. */
export function tell(text, kind = "") {
  const line = document.createElement("p");
  line.className = `notice ${kind}`;
  line.textContent = text;
  document.getElementById("told").append(line);
  setTimeout(() => line.remove(), kind === "bad" ? 12000 : 5000);
}
